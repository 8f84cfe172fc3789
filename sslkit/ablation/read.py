"""Reads a grid from a YAML file, or from words of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslkit.ablation.grid import GRID, Axes, Grid, axis_of, cells_of, seeds_of
from sslkit.errors import UserError, nearest
from sslkit.recipe.overrides import Override, overrides_from
from sslkit.recipe.yaml import Document, read_yaml

_KEYS = ("recipe", "axes", "design", "baseline", "seeds", "metrics", "overrides", "budget")


def is_grid(path: Path) -> bool:
    """Whether a file is a grid and no recipe: it has axes."""
    try:
        return "axes" in read_yaml(path.read_text("utf-8"), str(path)).data
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def read_grid(path: Path, overrides: Sequence[Override] = ()) -> Grid:
    """The grid that a file describes; a recipe's path is relative to it.

    Args:
        path: of the file.
        overrides: of every cell, besides those of the file, over which they win.

    Raises:
        UserError: ``file:line: key`` and what is wrong.
    """
    document = read_yaml(path.read_text("utf-8"), str(path))
    data = document.data
    for key in data:
        if key not in _KEYS:
            raise UserError(f"{document.marks[(key,)]}: {key}: a grid has no such key; {nearest(key, _KEYS)}")
    if not isinstance(recipe := data.get("recipe"), str):
        raise UserError(f"{path}: recipe: which one do the cells change? Name a recipe or a file")
    beside = path.parent / recipe
    try:
        fixed = (*overrides_from(_mapping(document, ("overrides",))), *overrides)
        cells = cells_of(
            _axes(document),
            data.get("design", GRID),
            data.get("baseline"),
            fixed,
        )
        seeds = seeds_of(data.get("seeds", 1))
    except UserError as error:
        raise UserError(f"{_place(document, str(error))}{error}") from error
    metrics, budget = data.get("metrics", []), data.get("budget")
    if not isinstance(metrics, list):
        raise UserError(
            f"{document.marks[('metrics',)]}: metrics: {metrics!r} is no list, as in [teacher/knn/k20_top1]"
        )
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | float) or budget <= 0):
        raise UserError(f"{document.marks[('budget',)]}: budget: {budget!r} must be minutes, above 0")
    return Grid(str(beside) if beside.is_file() else recipe, cells, seeds, tuple(map(str, metrics)), budget, fixed)


def _axes(document: Document) -> dict[str, dict[str, tuple[Override, ...]]]:
    return {axis: axis_of(axis, given) for axis, given in _mapping(document, ("axes",)).items()}


def _mapping(document: Document, path: tuple[str, ...]) -> Mapping[str, Any]:
    """What stands at a path: a mapping; nothing counts as an empty one."""
    found: Any = document.data
    for key in path:
        found = found.get(key)
        if found is None:
            return {}
    if not isinstance(found, Mapping):
        raise UserError(f"{'.'.join(path)}: it is {found!r}, and a mapping is expected")
    return found


def _place(document: Document, sentence: str) -> str:
    """``file:line: `` of the longest path of keys that a sentence begins with."""
    paths = [path for path in document.marks if sentence.startswith(".".join(path))]
    return f"{document.marks[max(paths, key=len)]}: " if paths else f"{document.file}: "


def axes_from_words(words: Sequence[str]) -> Axes:
    """``teacher=ema,frozen_epoch`` as an axis: values of one key, with commas between.

    Raises:
        UserError: for a word without ``=``, an axis that is given twice, or a value that is.
    """
    axes: dict[str, dict[str, tuple[Override, ...]]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        values = _split(text)
        if not equals or not key or not all(values):
            raise UserError(f"--axis {word}: write KEY=VALUE,VALUE, as in --axis teacher=ema,frozen_epoch")
        if key in axes:
            raise UserError(f"--axis {key}: it is given twice; give all values at once")
        if len(set(values)) < len(values):
            raise UserError(f"--axis {word}: a value is given twice")
        axes[key] = {value: (Override(key, value, from_command_line=True),) for value in values}
    return axes


def _split(text: str) -> list[str]:
    """At commas that stand outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
