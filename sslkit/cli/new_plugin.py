"""Writes a pip-installable package with one loss, one teacher rule, one recipe and their tests."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import sslkit
from sslkit.errors import UserError

_PREFIX = "sslkit-"


def new_plugin(project: str, parent: Path) -> Path:
    """Write the package; nothing is overwritten.

    Args:
        project: its name, as pip will know it, such as ``sslkit-mymethod``.
        parent: the folder that it is written into.

    Returns:
        Its folder, ``parent/project``.

    Raises:
        UserError: if the name is none that pip and Python could hold, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z](?:[a-z0-9]|[-_](?=[a-z0-9]))*", project):
        raise UserError(
            f"sslkit plugins new: {project!r} is no name for a package: use lower-case letters, digits and single '-', "
            "beginning with a letter, such as sslkit-mymethod"
        )
    package = project.replace("-", "_")
    name = project.removeprefix(_PREFIX).replace("-", "_")
    if not name.isidentifier() or keyword.iskeyword(package) or package == "sslkit":
        raise UserError(f"sslkit plugins new: a package cannot be called {project!r}; call it sslkit-mymethod, say")
    folder = parent / project
    if folder.exists():
        raise UserError(f"sslkit plugins new: {folder} is there already; choose another name, or --out another folder")
    words = {
        "project": project,
        "package": package,
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "version": sslkit.__version__,
    }
    _write(files("sslkit.cli") / "template", folder, words)
    return folder


def _write(source: Traversable, target: Path, words: dict[str, str]) -> None:
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            _write(entry, target / (words["package"] if entry.name == "package" else entry.name), words)
        elif entry.name.endswith(".txt"):
            name = entry.name.removesuffix(".txt").replace("name.yaml", f"{words['name']}.yaml")
            text = Template(entry.read_text(encoding="utf-8")).substitute(words)
            (target / name).write_text(text, encoding="utf-8")
