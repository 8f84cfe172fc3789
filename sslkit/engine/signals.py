"""Signals set a flag; the loop acts on it at the end of a step, on all ranks together."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from sslkit.streams import complain

_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
#: Seconds that a process which was asked to quit at once may need for it.
_GRACE = 30.0
#: What the watching thread reads at the end; no signal has this number.
_OVER = 0


class StopSignals:
    """Catches SIGINT, SIGTERM and SIGUSR1 for the length of a block; a second SIGINT quits at once.

    A thread acknowledges each of them when it comes: Python runs a handler only between two of its own instructions,
    and a long call into torch may be under way.

    Args:
        acknowledge: shows that the first one came, given its name; called in that thread.

    Attributes:
        received: the first signal that came, or None.
    """

    def __init__(self, acknowledge: Callable[[str], None]) -> None:
        self.received: signal.Signals | None = None
        self._tell = acknowledge
        self._before: dict[signal.Signals, object] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread alone; elsewhere (a notebook's worker) signals stay as they are
        if threading.current_thread() is threading.main_thread():
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
            self._thread = threading.Thread(target=self._acknowledge, name="signals", daemon=True)
            self._thread.start()
            self._before = {number: signal.signal(number, self._note) for number in _WATCHED}
            self._wakeup_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._before:
            return
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.write(self._writing, bytes([_OVER]))
        self._thread.join()
        os.close(self._writing)
        os.close(self._reading)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number)

    def _acknowledge(self) -> None:
        """Report each signal when it comes, until the block is over."""
        asked = False
        while (number := os.read(self._reading, 1)[0]) != _OVER:
            if number not in _WATCHED:
                continue
            if asked and number == signal.SIGINT:
                self._quit()
                return
            if not asked:
                # whatever the terminal does, a second one must be heard
                with contextlib.suppress(Exception):
                    self._tell("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
            asked = True

    def _quit(self) -> None:
        """Wait for the block to end; where a call into torch holds it (another process is gone), end the process."""
        deadline = time.monotonic() + _GRACE
        # further signals do not make it wait longer
        while select.select([self._reading], [], [], max(deadline - time.monotonic(), 0.0))[0]:
            if os.read(self._reading, 1)[0] == _OVER:
                return
        complain("this process does not react: it ends without saving")
        os._exit(128 + signal.SIGINT)
