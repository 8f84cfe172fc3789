"""Options as lines of help: name, type, default, and their documented sentences."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docstring_parser import Docstring, DocstringStyle, parse

from sslkit.recipe.given import show
from sslkit.recipe.signature import Option, describe, options_of


def documentation(cls: type) -> Docstring:
    """The docstring of a part's class or of a dataclass of settings."""
    return parse(inspect.getdoc(cls) or "", style=DocstringStyle.GOOGLE)


def option_lines(cls: type, context: frozenset[str] = frozenset(), only: str | None = None) -> Iterator[str]:
    """Two lines an option.

    Args:
        cls: a part's class or a dataclass of settings.
        context: parameters that the engine fills.
        only: the one that is wanted; None: all.
    """
    texts = {entry.arg_name: " ".join((entry.description or "").split()) for entry in documentation(cls).params}
    for option in options_of(cls, context).values():
        if only in (None, option.name):
            yield f"  {option.name}: {describe(option.annotation)}, {_default(option)}"
            if texts.get(option.name):
                yield f"      {texts[option.name]}"


def _default(option: Option) -> str:
    if option.required:
        return "required"
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    return f"default {value if option.takes_schedule and value is not None else show(value)}"
