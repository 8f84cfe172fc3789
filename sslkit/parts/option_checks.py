"""Checks of options that parts of many kinds have; each message begins with the option, so that its place is told."""

from __future__ import annotations

import math

from sslkit.errors import UserError


def check_positive(key: str, value: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        UserError: if so.
    """
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{key} is {value}: it must be above 0")


def check_at_least(key: str, value: float, least: float) -> None:
    """Refuse what is not a finite number of ``least`` or more.

    Raises:
        UserError: if so.
    """
    if not (math.isfinite(value) and value >= least):
        raise UserError(f"{key} is {value}: it must be {least} or more")
