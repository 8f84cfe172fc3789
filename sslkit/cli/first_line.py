"""The first sentence of a part's docstring, read from its source: importing the class could cost seconds of torch."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from sslkit.plugins.registry import Registration


def first_line(part: Registration) -> str:
    """What a part says of itself in one sentence; empty if its source cannot be found."""
    if isinstance(part.target, type):
        return _first(part.target.__doc__)
    module, _, name = part.target.partition(":")
    file = _source(module)
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):  # told when the part is imported; here it is only a line of help
        return ""
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return next((_first(ast.get_docstring(node)) for node in classes), "")


def _source(module: str) -> Path | None:
    """A module's file, found below its package, which its plugin's registration has imported; nothing is imported."""
    package, *inner = module.split(".")
    loaded = sys.modules.get(package)
    if loaded is None or loaded.__file__ is None:
        return None
    if not inner:
        return Path(loaded.__file__)
    base = Path(loaded.__file__).parent.joinpath(*inner)
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def _first(docstring: str | None) -> str:
    paragraph = " ".join((docstring or "").strip().partition("\n\n")[0].split())
    # a sentence ends where a capital follows: "Caron et al. 2021" goes on
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph)[0].replace("``", "")
