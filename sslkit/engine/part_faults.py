"""What is wrong with a part's class as far as can be told without building it: for ``doctor`` and the kit."""

from __future__ import annotations

import inspect
from importlib import import_module

from sslkit.engine.hooks import check_hooks
from sslkit.errors import UserError
from sslkit.parts.kinds import KINDS
from sslkit.recipe.schema import BESIDE
from sslkit.recipe.signature import options_of

#: Kinds whose parts may implement hooks.
_WITH_HOOKS = ("backbone", "head", "loss", "teacher", "watcher")
#: Sections of recipes whose parts have keys of the section beside their options, by kind.
_SECTIONS = {"evaluator": "evaluate", "loss": "losses"}


def undocumented(kind: str, target: type) -> str | None:
    """What its docstring lacks, in words; None if nothing.

    Raises:
        UserError: if an option has no annotation, or one that recipes cannot fill.
    """
    from docstring_parser import DocstringStyle, parse

    module, _, name = KINDS[kind].contract.partition(":")
    contract = getattr(import_module(module), name)
    # what the contract says of itself is not said of this part
    own = (cls.__doc__ for cls in target.__mro__ if not issubclass(contract, cls))
    text = inspect.cleandoc(next((text for text in own if text is not None), ""))
    if not text.strip():
        return "its class has no docstring: `sslkit plugins show` would have nothing to say"
    told = {entry.arg_name for entry in parse(text, style=DocstringStyle.GOOGLE).params if entry.description}
    untold = [name for name in options_of(target, KINDS[kind].context) if name not in told]
    return f"its docstring has no line for {', '.join(untold)} under Args:" if untold else None


def clashing(kind: str, target: type) -> str | None:
    """Options that are called like a key beside them in a recipe, in words; None if there are none."""
    beside = BESIDE.get(_SECTIONS.get(kind, ""), frozenset())
    clash = sorted(beside & options_of(target, KINDS[kind].context).keys())
    return (
        f"its option {', '.join(clash)} is a key of the recipe's section itself: call it otherwise" if clash else None
    )


def unknown_hooks(kind: str, target: type) -> str | None:
    """Hooks that do not exist, have wrong arguments or would never fire, in words; None if there are none."""
    if kind not in _WITH_HOOKS:
        marked = [name for name in dir(target) if getattr(getattr(target, name, None), "sslkit_impl", None)]
        what = f"a part of the kind {kind} has no hooks: its {', '.join(marked)} would never fire"
        return what if marked else None
    try:
        check_hooks(target, "the class", watching=kind == "watcher")
    except UserError as error:
        return str(error)
    return None
