"""Rules for parts of every kind."""

from __future__ import annotations

import random

import numpy as np

from sslkit.engine import part_faults
from sslkit.testing.case import Case, require


def documented_options(case: Case) -> None:
    """The class has a docstring, which tells of each option."""
    fault = part_faults.undocumented(case.kind, case.spec.target)
    require(fault is None, str(fault))


def options_beside_keys(case: Case) -> None:
    """No option is called like a key that stands beside the options in a recipe."""
    fault = part_faults.clashing(case.kind, case.spec.target)
    require(fault is None, str(fault))


def known_hooks(case: Case) -> None:
    """Its hooks exist, take arguments that they have, and are those of a kind that has hooks."""
    fault = part_faults.unknown_hooks(case.kind, case.spec.target)
    require(fault is None, str(fault))


def builds_twice(case: Case) -> None:
    """Two parts can be built from the same options, and neither moves Python's or numpy's global generators."""
    python, numpy = random.getstate(), np.random.get_state()
    case.build()
    case.build()
    require(random.getstate() == python, "building it draws from Python's global random generator")
    same = all(np.array_equal(one, other) for one, other in zip(numpy, np.random.get_state(), strict=True))
    require(same, "building it draws from numpy's global random generator: initial weights may use torch's alone")


RULES = (documented_options, options_beside_keys, known_hooks, builds_twice)
