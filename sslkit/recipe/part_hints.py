"""What the name of a part that does not exist probably means."""

from __future__ import annotations

import re
from shlex import quote

from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.plugins.registry import Registry
from sslkit.plugins.source import parameters_of
from sslkit.recipe.given import COMMAND_LINE, Given
from sslkit.recipe.synonyms import ARCHITECTURES

#: The parts that take what is given as a name: a folder of images, an architecture of a library, the size of a ViT.
_FOLDER, _LIBRARY, _TRANSFORMER = "image_folder", "timm", "vit"
_SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large"}


def part_hint(kind: str, name: str, at: Given, registry: Registry) -> str | None:
    """What to write instead: a folder of images, or an architecture, is an option's value and no name of a part.

    Args:
        kind: the kind of part.
        name: as given.
        at: where.
        registry: the parts there are.
    """
    if kind == "dataset" and _is_folder(name) and _FOLDER in registry.names(kind):
        return f"for a folder of images write {_written(at, _FOLDER, 'root', name)}"
    if kind != "backbone":
        return None
    sized = re.fullmatch(r"(?:vit|deit)[-_]?(tiny|small|base|large|[tsbl](?=[-_/]?\d))(?:[-_/]?\d+)?", name.lower())
    if sized and _TRANSFORMER in registry.names(kind):
        size = _SIZES.get(sized[1], sized[1])
        return f"a transformer's size is an option: write {_written(at, _TRANSFORMER, 'arch', size)}"
    if name.lower().startswith(tuple(ARCHITECTURES.split())) and _LIBRARY in registry.names(kind):
        written = _written(at, _LIBRARY, "arch", name)
        return f"an architecture is an option of the backbones that take it from a library: write {written}"
    return None


def having_option(kind: str, option: str, registry: Registry) -> list[str]:
    """The names of the parts of a kind that have an option, sorted."""
    return sorted({part.name for part in registry.parts if part.kind == kind and option in parameters_of(part)})


def _is_folder(name: str) -> bool:
    if "/" in name or name.startswith((".", "~")):
        return True
    try:
        return home_path(name).is_dir()
    except (UserError, OSError, ValueError):
        return False


def _written(at: Given, part: str, option: str, value: str) -> str:
    """A part with one option, as flags of the command line or as YAML."""
    if at.layer.file == COMMAND_LINE:
        return f"{at.key} {part} {at.key}.{option} {quote(value)}"
    return f"{{name: {part}, {option}: {value}}}"
