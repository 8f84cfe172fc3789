"""Options that are numbers within bounds, and numbers drawn between two."""

from __future__ import annotations

import math

from sslkit.errors import UserError


def within(key: str, value: float, high: float = math.inf) -> float:
    """The value, if it is from 0 to ``high``.

    Raises:
        UserError: if not; the message begins with ``key``, as it does in the functions below.
    """
    if not (math.isfinite(value) and 0 <= value <= high):
        raise UserError(f"{key} is {value}: it must be " + (f"from 0 to {high}" if high < math.inf else "0 or more"))
    return value


def interval(key: str, bounds: tuple[float, float], high: float = math.inf) -> tuple[float, float]:
    """The bounds, if they are in order, above 0 and at most ``high``."""
    if not (math.isfinite(bounds[1]) and 0 < bounds[0] <= bounds[1] <= high):
        end = f", both above 0 and at most {high}" if high < math.inf else ", both above 0"
        raise UserError(f"{key} is {list(bounds)}: it must be a lower and an upper bound{end}")
    return bounds[0], bounds[1]


def triple(key: str, chances: tuple[float, float, float]) -> tuple[float, float, float]:
    """The chances, if each is from 0 to 1."""
    if not all(0 <= chance <= 1 for chance in chances):
        raise UserError(f"{key} is {list(chances)}: it must be three probabilities from 0 to 1")
    return chances


def between(bounds: tuple[float, float], share: float) -> float:
    """What lies so far between the bounds: the first at 0, the second at 1."""
    return bounds[0] + (bounds[1] - bounds[0]) * share
