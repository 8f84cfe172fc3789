"""A part's class as its source text says it: importing the class could cost seconds of torch."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

from sslkit.plugins.registry import Registration


def docstring_of(part: Registration) -> str:
    """The docstring of a part's class; empty if its source cannot be found."""
    if isinstance(part.target, type):
        return part.target.__doc__ or ""
    node = _class_node(part.target)
    return (ast.get_docstring(node) or "") if node is not None else ""


def parameters_of(part: Registration) -> list[str]:
    """The parameters of a part's ``__init__``; none if its source cannot be found or its class has no own one."""
    if isinstance(part.target, type):
        return list(inspect.signature(part.target).parameters)
    node = _class_node(part.target)
    for member in node.body if node is not None else ():
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return [word.arg for word in (*member.args.args, *member.args.kwonlyargs)][1:]
    return []


def _class_node(target: str) -> ast.ClassDef | None:
    module, _, name = target.partition(":")
    file = _file_of(module)
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):  # reported when the part is imported; here it is only help
        return None
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)


def _file_of(module: str) -> Path | None:
    """A module's file, found below its package, which its plugin's registration has imported; nothing is imported."""
    package, *inner = module.split(".")
    loaded = sys.modules.get(package)
    if loaded is None or loaded.__file__ is None:
        return None
    if not inner:
        return Path(loaded.__file__)
    base = Path(loaded.__file__).parent.joinpath(*inner)
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
