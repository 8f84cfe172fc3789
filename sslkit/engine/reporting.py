"""What a run says to the person at the terminal, and to its ``log.txt``."""

from __future__ import annotations

import logging

from sslkit.engine.distributed import is_first
from sslkit.parts.terminal import tell

log = logging.getLogger("sslkit")


def say(text: str) -> None:
    """One line on the first rank's terminal and in the log."""
    log.info(text)
    if is_first():
        tell(text)
