"""Finds recipe files: paths, and bare names of the recipes that ship with sslkit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError, nearest
from sslkit.parts.paths import home_path

#: The folder of shipped grids, which `sslkit ablate` takes; they are no recipes.
GRIDS = "ablations"


@dataclass(frozen=True)
class Shipped:
    """A recipe that ships with sslkit.

    Attributes:
        name: what ``--recipe`` takes: its path below the folder, without ``.yaml``.
        path: its file.
        comment: the comment that it opens with, without the ``#`` signs.
    """

    name: str
    path: Path
    comment: str


def shipped_folder() -> Path | None:
    """Where the shipped recipes lie: inside the package in a wheel, beside it in a checkout; None if nowhere."""
    package = Path(__file__).resolve().parents[1]
    return next((folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir()), None)


def list_recipes() -> list[Shipped]:
    """The shipped recipes, by name."""
    return [shipped for shipped in _shipped() if not shipped.name.startswith(f"{GRIDS}/")]


def list_grids() -> list[Shipped]:
    """The shipped grids, by name."""
    return [shipped for shipped in _shipped() if shipped.name.startswith(f"{GRIDS}/")]


def _shipped() -> list[Shipped]:
    folder = shipped_folder()
    if folder is None:
        return []
    return [
        Shipped(path.relative_to(folder).with_suffix("").as_posix(), path, leading_comment(path))
        for path in sorted(folder.rglob("*.yaml"))
    ]


def shipped_grid(name: str) -> Path | None:
    """The file of a shipped grid, such as ``ablations/teacher``; None if there is none of this name."""
    if not name.startswith(f"{GRIDS}/") or Path(name).is_file():
        return None
    grids = {grid.name: grid.path for grid in list_grids()}
    plain = name.removesuffix(".yaml")
    if plain not in grids:
        raise UserError(f"there is no grid {name!r}; {nearest(plain, grids)}")
    return grids[plain]


def leading_comment(path: Path) -> str:
    """The comment that a file opens with."""
    lines = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    return "\n".join(lines).strip()


def find_recipe(source: str | Path, beside: Path | None = None) -> Path:
    """The file that a path or a bare name means.

    Args:
        source: a path, or the name of a shipped recipe with or without ``.yaml``.
        beside: a recipe whose folder relative paths start from (``base:``); by default the working directory.

    Raises:
        UserError: if there is no such file; it names the nearest one.
    """
    wanted = home_path(source)
    path = wanted if beside is None else beside.parent / wanted
    try:
        if path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"{str(source)!r}: no file can be called so ({error})") from error
    shipped = {recipe.name: recipe.path for recipe in list_recipes()}
    name = os.fspath(source).removesuffix(".yaml")
    if name in shipped:
        return _as_seen_from_here(shipped[name])
    if exists:
        raise UserError(f"{source}: this is a folder or no regular file; name a recipe's file")
    neighbours = [str(Path(source).with_name(other.name)) for other in path.parent.glob("*.yaml")]
    raise UserError(f"there is no recipe {str(source)!r}; {nearest(str(source), [*shipped, *neighbours])}")


def _as_seen_from_here(path: Path) -> Path:
    """A path below the working directory is shown relative to it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
