"""Warnings of data sets: every rank builds its own, and the first one speaks for all."""

from __future__ import annotations

import logging

from sslkit.parts import rank

log = logging.getLogger("sslkit")


def warn(text: str, *values: object) -> None:
    """Log a warning on the first rank."""
    if rank() == 0:
        log.warning(text, *values)
