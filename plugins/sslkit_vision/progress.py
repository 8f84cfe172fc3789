"""Where a run stands, for the person who waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import rich
from rich.progress import BarColumn, Progress, TaskID, TextColumn

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Position, Row, RunInfo, Watcher

#: Seconds between two lines within an epoch, however short its tenth is.
_LEAST_SECONDS = 2.0


class ProgressDisplay(Watcher):
    """Shows epoch, step, loss, teacher entropy, learning rate, images/s and time left, and every evaluation's numbers.

    A live bar on a terminal. Elsewhere plain lines: one at the end of every epoch, and within long epochs after each
    tenth or ``every_seconds``, whichever comes first.

    Args:
        display: ``auto``: the bar on a terminal, else lines.
        every_seconds: seconds after which a line is due within an epoch.
    """

    def __init__(self, display: Literal["auto", "bar", "lines"] = "auto", every_seconds: float = 10.0) -> None:
        if not every_seconds > 0:
            raise UserError(f"every_seconds is {every_seconds}: it must be above 0")
        self._display, self._every_seconds = display, every_seconds
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._latest: dict[str, float] = {}
        self._clock: tuple[float, int] | None = None
        self._line_at = (0.0, 0)

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Open the display."""
        self._run, self._done = run, run.start_step
        self._line_at = (time.monotonic(), run.start_step)
        console = rich.get_console()
        if self._display == "bar" or (self._display == "auto" and console.is_terminal):
            columns = TextColumn("{task.description}"), BarColumn(bar_width=12), TextColumn("{task.fields[status]}")
            self._bar = Progress(*columns, console=console, refresh_per_second=4)
            self._task = self._bar.add_task(self._where("\n"), total=run.total, completed=run.start_step, status="")
            self._bar.start()

    @sslkit.hookimpl
    def step_end(self, at: Position) -> None:
        """Move the bar; no tensor is read."""
        self._done = at.step + 1
        if self._clock is None:
            self._clock = (time.monotonic(), self._done)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=self._where("\n"))

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Take the newest numbers; a line if one is due."""
        self._latest.update((row.name, row.value) for row in rows)
        if self._bar is not None:
            self._bar.update(self._task, status="\n".join(self._status()))
            return
        since, steps = time.monotonic() - self._line_at[0], self._done - self._line_at[1]
        tenth = steps * 10 >= self._run.steps_per_epoch and since >= _LEAST_SECONDS
        if steps > 0 and (tenth or since >= self._every_seconds):
            self._line()

    @sslkit.hookimpl
    def epoch_end(self, at: Position) -> None:
        """A line, if this epoch's last step has none yet."""
        if self._bar is None and self._done > self._line_at[1]:
            self._line()

    @sslkit.hookimpl
    def evaluation_end(self, step: int, values: Mapping[str, float]) -> None:
        """The headline of every evaluator in one line; the others are in ``metrics.csv``."""
        first: dict[str, str] = {}
        for name, value in values.items():
            first.setdefault(name.rpartition("/")[0], f"{name} {value:.4g}")
        numbers = "  ".join(first.values())
        when = f"after {step / self._run.steps_per_epoch:.4g} epochs" if step else "before training"
        self._print(f"evaluation {when}: {numbers or 'nothing to measure'}")

    @sslkit.hookimpl
    def fit_end(self, summary: Mapping[str, Any]) -> None:
        """Close the display."""
        self._close()

    @sslkit.hookimpl
    def run_failed(self, error: BaseException) -> None:
        """Close the display, so that the error below it can be read; the engine tells it."""
        self._close()

    def _where(self, between: str = "  ") -> str:
        per_epoch = self._run.steps_per_epoch
        epoch = max(1, math.ceil(self._done / per_epoch))
        return f"epoch {epoch}/{math.ceil(self._run.total / per_epoch)}{between}step {self._done}/{self._run.total}"

    def _status(self) -> tuple[str, str]:
        return status(self._latest, self._seconds_left())

    def _seconds_left(self) -> float | None:
        if self._clock is None or self._done <= self._clock[1]:
            return None
        began, first = self._clock
        return (time.monotonic() - began) / (self._done - first) * (self._run.total - self._done)

    def _line(self) -> None:
        self._line_at = (time.monotonic(), self._done)
        self._print("  ".join(part for part in (self._where(), *self._status()) if part))

    def _print(self, text: str) -> None:
        rich.get_console().print(text, markup=False, highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def status(latest: Mapping[str, float], seconds_left: float | None) -> tuple[str, str]:
    """What a person watches: the numbers that are learned by, and the pace, each short enough for half a line.

    Args:
        latest: the newest value of every logged name; what is not there is left out.
        seconds_left: until the end of the run, where known.
    """
    shown = [("loss", latest.get("loss"), ".4f"), ("lr", latest.get("lr"), ".2e")]
    entropies = [value for name, value in latest.items() if name.endswith("teacher_entropy")]
    if entropies:
        shown.insert(1, ("teacher entropy", entropies[0], ".3f"))
    parts = [f"{label} {value:{form}}" for label, value, form in shown if value is not None]
    pace = []
    rate = latest.get("time/images_per_second")
    if rate is not None:
        pace.append(f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.2f} images/s")
    if seconds_left is not None:
        pace.append(f"{timedelta(seconds=round(seconds_left))} left")
    return "  ".join(parts), "  ".join(pace)
