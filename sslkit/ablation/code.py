"""Which code makes a run: the versions of sslkit and of every plugin that its recipe names a part of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from sslkit import __version__
from sslkit.engine.files import digest
from sslkit.recipe.model import PartSpec, Recipe


def code_of(recipe: Recipe) -> dict[str, str]:
    """Version by distribution; a single-file plugin has the beginning of its SHA-256."""
    found = {"sslkit": __version__}
    for part in _parts(recipe):
        distribution = part.owner.rpartition("(")[2].removesuffix(")")
        if Path(distribution).is_file():
            found[Path(distribution).name] = digest(Path(distribution))[:12]
        else:
            name, _, version = distribution.partition(" ")
            found[name] = version
    return dict(sorted(found.items()))


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Such as ``sslkit 0.1.0 there, 0.2.0 now``; empty if there is none."""
    return "; ".join(
        f"{name} {before.get(name, 'absent')} there, {now.get(name, 'absent')} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )


def _parts(node: Any) -> Iterator[PartSpec]:
    """Every part below a recipe's section, parts in options among them."""
    if isinstance(node, PartSpec):
        yield node
        for value in node.options.values():
            yield from _parts(value)
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _parts(value)
    elif is_dataclass(node):
        for field in fields(node):
            if field.name not in ("resolved", "places"):
                yield from _parts(getattr(node, field.name))
