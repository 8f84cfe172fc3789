"""Writes a recipe: plain data with every default, and its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

import yaml

from sslkit.recipe.model import PartSpec
from sslkit.recipe.schema import SECTIONS
from sslkit.recipe.yaml import SCALARS


def plain(value: Any) -> Any:
    """A typed value of a recipe as plain data: lists for tuples, mappings for parts and settings."""
    if isinstance(value, PartSpec):
        return plain(value.plain())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def in_order(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections in the order that recipes are written in."""
    return {name: sections[name] for name in SECTIONS if name in sections}


class _Dumper(yaml.SafeDumper):
    """Quotes text that our reader, or a YAML 1.1 reader, would take for something else."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {  # type: ignore[misc]
        first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern in SCALARS.items():
    _Dumper.add_implicit_resolver(_tag, _pattern, None)
_Dumper.add_representer(
    list,
    lambda dumper, items: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", items, flow_style=not any(isinstance(item, (dict, list)) for item in items)
    ),
)
_Dumper.add_representer(
    str,
    # odd line ends and invisible characters survive in double quotes only
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def to_yaml(resolved: Mapping[str, Any]) -> str:
    """YAML text that reads back as the same data, sections in their order."""
    data = {key: plain(value) for key, value in resolved.items()}
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
