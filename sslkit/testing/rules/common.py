"""Rules for parts of every kind."""

from __future__ import annotations

import inspect
import random

import numpy as np

from sslkit.engine.hooks import check_hooks
from sslkit.parts.kinds import KINDS
from sslkit.recipe.schema import BESIDE
from sslkit.recipe.signature import options_of
from sslkit.testing.case import Case, require

#: Kinds whose parts may implement hooks.
_WITH_HOOKS = ("backbone", "head", "loss", "teacher", "watcher")


def documented_options(case: Case) -> None:
    """The class has a docstring, which tells of each option."""
    from docstring_parser import DocstringStyle, parse

    text = inspect.getdoc(case.spec.target) or ""
    require(bool(text.strip()), "its class has no docstring: `sslkit plugins show` would have nothing to say")
    told = {entry.arg_name for entry in parse(text, style=DocstringStyle.GOOGLE).params if entry.description}
    untold = [name for name in options_of(case.spec.target, KINDS[case.kind].context) if name not in told]
    require(not untold, f"its docstring has no line for {', '.join(untold)} under Args:")


def options_beside_keys(case: Case) -> None:
    """No option is called like a key that stands beside the options in a recipe."""
    beside = BESIDE.get({"evaluator": "evaluate", "loss": "losses"}.get(case.kind, ""), frozenset())
    clash = sorted(beside & options_of(case.spec.target, KINDS[case.kind].context).keys())
    require(not clash, f"its option {', '.join(clash)} is a key of the recipe's section itself: call it otherwise")


def known_hooks(case: Case) -> None:
    """Its hooks exist, take arguments that they have, and are those of a kind that has hooks."""
    if case.kind in _WITH_HOOKS:
        check_hooks(case.spec.target, "the class", watching=case.kind == "watcher")
        return
    marked = [name for name in dir(case.spec.target) if getattr(getattr(case.spec.target, name), "sslkit_impl", None)]
    require(not marked, f"a part of the kind {case.kind} has no hooks: its {', '.join(marked)} would never fire")


def builds_twice(case: Case) -> None:
    """Two parts can be built from the same options, and neither moves Python's or numpy's global generators."""
    python, numpy = random.getstate(), np.random.get_state()
    case.build()
    case.build()
    require(random.getstate() == python, "building it draws from Python's global random generator")
    same = all(np.array_equal(one, other) for one, other in zip(numpy, np.random.get_state(), strict=True))
    require(same, "building it draws from numpy's global random generator: initial weights may use torch's alone")


RULES = (documented_options, options_beside_keys, known_hooks, builds_twice)
