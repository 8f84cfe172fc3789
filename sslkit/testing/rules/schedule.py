"""Rules for schedules."""

from __future__ import annotations

import math

from sslkit.parts.position import Position
from sslkit.testing.case import Case, require, untouched_generators

_LENGTHS = ((1, 1), (10, 5), (100, 7))


def pure(case: Case) -> None:
    """A value is a function of the position alone, in whatever order positions are asked for."""
    schedule = case.build()
    positions = [Position(step, *length) for length in _LENGTHS for step in range(length[0])]
    with untouched_generators():
        forwards = [schedule(at) for at in positions]
        backwards = [schedule(at) for at in reversed(positions)][::-1]
    wrong = next((at for at, a, b in zip(positions, forwards, backwards, strict=True) if a != b), None)
    require(wrong is None, f"at {wrong} it has another value the second time: a resumed run would go on otherwise")
    require(forwards == [case.build()(at) for at in positions], "two schedules of the same options differ")


def numbers(case: Case) -> None:
    """Every value is a finite number, in runs of any length."""
    schedule = case.build()
    for total, per_epoch in _LENGTHS:
        for step in range(total):
            value = schedule(Position(step, total, per_epoch))
            require(isinstance(value, float | int), f"its value is a {type(value).__name__} and not a number")
            require(math.isfinite(value), f"at step {step} of {total} its value is {value}")


def scales(case: Case) -> None:
    """``scaled(2)`` doubles the peak, and leaves the schedule itself as it was."""
    schedule, at = case.build(), [Position(step, 100, 7) for step in range(100)]
    before = [schedule(one) for one in at]
    twice = [schedule.scaled(2.0)(one) for one in at]
    require([schedule(one) for one in at] == before, "scaled() changes the schedule itself")
    require(math.isclose(max(twice), 2 * max(before), rel_tol=1e-6), "scaled(2) does not double its peak")


RULES = (pure, numbers, scales)
