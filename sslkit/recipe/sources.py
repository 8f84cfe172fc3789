"""Where a recipe's layers come from: a file and its ``base:`` files, or a Python mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslkit.errors import UserError
from sslkit.recipe.find import find_recipe
from sslkit.recipe.given import Given, Layer
from sslkit.recipe.plain_data import plain_data
from sslkit.recipe.yaml import read_yaml

_MAX_CHAIN = 8
_MAX_BYTES = 1_000_000


def source_layers(source: str | Path | Mapping[str, Any]) -> list[Layer]:
    """The layers of a recipe, the innermost base first.

    Raises:
        UserError: for a missing or unreadable file, or bases that go in a circle.
    """
    if isinstance(source, Mapping):
        layer = Layer("recipe", plain_data(source, "recipe"))
        return _with_bases(layer, None, ())
    path = find_recipe(source)
    return _with_bases(_read(path), path, (path.resolve(),))


def _with_bases(layer: Layer, path: Path | None, chain: tuple[Path, ...]) -> list[Layer]:
    if "base" not in layer.data:
        return [layer]
    given = layer.root().child("base", layer.data["base"])
    base = _find_base(given, path)
    if base.resolve() in chain:
        names = " -> ".join(link.name for link in (*chain, base))
        raise given.error(f"the bases go in a circle: {names}")
    if len(chain) >= _MAX_CHAIN:
        raise given.error(f"more than {_MAX_CHAIN} bases on top of each other")
    rest = Layer(layer.file, {key: value for key, value in layer.data.items() if key != "base"}, layer.marks)
    return [*_with_bases(_read(base), base, (*chain, base.resolve())), rest]


def _find_base(given: Given, path: Path | None) -> Path:
    if not isinstance(given.value, str):
        raise given.error("expected one file, relative to this one, or the name of a shipped recipe")
    try:
        return find_recipe(given.value, beside=path)
    except UserError as error:
        raise given.error(str(error)) from error


def _read(path: Path) -> Layer:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path}: larger than a megabyte; this is no recipe")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({error.strerror})") from error
    document = read_yaml(text, str(path))
    return Layer(str(path), document.data, document.marks)
