"""What takes long is reported while it does, by a thread beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which a person wonders whether anything happens.
PATIENCE = 10.0


@contextmanager
def reminding(what: Callable[[], str], tell: Callable[[str], None], seconds: float = PATIENCE) -> Iterator[None]:
    """Report what is going on, once, if the block takes longer than a person waits without wondering.

    Args:
        what: the line to report, asked for when it is due.
        tell: shows it; called in a thread.
        seconds: of patience.
    """
    reminder = threading.Timer(seconds, lambda: tell(what()))
    # a process that ends waits for no reminder
    reminder.daemon = True
    reminder.start()
    try:
        yield
    finally:
        reminder.cancel()
