"""What a person sees who watches an ablation for a day."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import rich
from rich.live import Live
from rich.text import Text

from sslkit.ablation.glance import Glance
from sslkit.parts.terminal import stderr_is_shown, tell

#: Seconds between two looks at the runs on a terminal, and between two lines that tell of them elsewhere.
_LOOK, _LINE = 2.0, 300.0


@dataclass
class Counts:
    """How far an ablation is.

    Attributes:
        total: runs.
        finished: of them, those of earlier commands too.
        failed: of them.
        running: what runs, by name.
        left: seconds until the end, where that can be told.
    """

    total: int
    finished: int = 0
    failed: int = 0
    running: dict[str, Glance] = field(default_factory=dict)
    left: float | None = None

    def line(self) -> str:
        """In one line."""
        waiting = self.total - self.finished - self.failed - len(self.running)
        told = f"{self.finished} of {self.total} runs finished, {len(self.running)} running, {waiting} waiting"
        told += f", {self.failed} failed" if self.failed else ""
        return told + (f"; about {duration(self.left)} left" if self.left is not None else "")


class Display:
    """A line for whatever happens; below them, on a terminal, where each run stands, live.

    Args:
        counts: is read whenever something is shown.
        live: on a terminal; else lines alone, every five minutes one that tells how far it is.
    """

    def __init__(self, counts: Counts, live: bool | None = None) -> None:
        self._counts = counts
        console = rich.get_console()
        shown = console.is_terminal if live is None else live
        self._live = (
            Live(console=console, auto_refresh=False, transient=True, redirect_stderr=stderr_is_shown())
            if shown
            else None
        )
        self._looked = self._told = time.monotonic()

    def open(self) -> None:
        """Begin."""
        if self._live is not None:
            self._live.start()

    def close(self) -> None:
        """End; what is live goes away."""
        if self._live is not None:
            self._live.stop()

    def tell(self, text: str) -> None:
        """One line."""
        tell(text)

    def tick(self) -> None:
        """Look at the runs, if it is time to."""
        now = time.monotonic()
        if self._live is not None and now - self._looked >= _LOOK:
            self._looked = now
            self._live.update(Text("\n".join([*_lines(self._counts.running), self._counts.line()])), refresh=True)
        elif self._live is None and now - self._told >= _LINE:
            self._told = now
            for text in [*_lines(self._counts.running), self._counts.line()]:
                self.tell(text)


def _lines(running: Mapping[str, Glance]) -> list[str]:
    for glance in running.values():
        glance.look()
    width = max(map(len, running), default=0)
    return [f"  {name:{width}}  {glance}" for name, glance in running.items()]


def duration(seconds: float) -> str:
    """Such as ``2 h 05 min``."""
    minutes = max(1, round(timedelta(seconds=seconds) / timedelta(minutes=1)))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
