"""A part's help: its docstring and its options. Imports the part's class."""

from __future__ import annotations

import inspect

from sslkit.parts.kinds import KINDS
from sslkit.plugins.registry import Registration
from sslkit.recipe.given import show
from sslkit.recipe.signature import Option, describe, options_of


def describe_part(part: Registration) -> str:
    """The help text of a part.

    Raises:
        UserError: if its class cannot be imported.
    """
    from docstring_parser import DocstringStyle, parse

    target = part.load()
    context = KINDS[part.kind].context
    options = options_of(target, context)
    documented = parse(inspect.getdoc(target) or "", style=DocstringStyle.GOOGLE)
    texts = {entry.arg_name: " ".join((entry.description or "").split()) for entry in documented.params}
    lines = [f"{part.kind} {part.name!r}, of {part.owner}", ""]
    lines += [documented.description or "(no description)", "", "options:"]
    for option in options.values():
        lines += [f"  {option.name}: {_type(option)}, {_default(option)}"]
        lines += [f"      {texts[option.name]}"] if texts.get(option.name) else []
    if not options:
        lines += ["  (none)"]
    filled = [name for name in inspect.signature(target).parameters if name in context]
    if filled:
        lines += ["", f"the engine fills in: {', '.join(filled)}"]
    return "\n".join(lines)


def _type(option: Option) -> str:
    return describe(option.annotation)


def _default(option: Option) -> str:
    if option.required:
        return "required"
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    return f"default {value if option.takes_schedule and value is not None else show(value)}"
