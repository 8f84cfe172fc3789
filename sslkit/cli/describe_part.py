"""A part's help: its docstring and its options. Imports the part's class."""

from __future__ import annotations

import inspect

from sslkit.parts.kinds import KINDS
from sslkit.plugins.registry import Registration


def describe_part(part: Registration) -> str:
    """The help text of a part.

    Raises:
        UserError: if its class cannot be imported.
    """
    from sslkit.cli.option_lines import documentation, option_lines

    target = part.load()
    context = KINDS[part.kind].context
    lines = [f"{part.kind} {part.name!r}, of {part.owner}", ""]
    lines += [documentation(target).description or "(no description)", "", "options:"]
    lines += list(option_lines(target, context)) or ["  (none)"]
    filled = [name for name in inspect.signature(target).parameters if name in context]
    if filled:
        lines += ["", f"the engine fills in: {', '.join(filled)}"]
    return "\n".join(lines)
