"""Where a run stands, for the person who waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import rich

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Position, Row, RunInfo, Watcher, tell
from sslkit_vision.live_bar import NotebookBar, Picture, Task, TerminalBar
from sslkit_vision.time_left import TimeLeft

#: Seconds between two lines within an epoch, however short its tenth is.
_LEAST_SECONDS = 2.0


class ProgressDisplay(Watcher):
    """Shows epoch, step, loss, teacher entropy, learning rate, images/s and time left, and every evaluation's numbers.

    A live bar on a terminal, and in a notebook one output that is updated in place. Elsewhere plain lines: one at the
    end of every epoch, and within long epochs after each tenth or ``every_seconds``, whichever comes first.

    Args:
        display: ``auto``: the bar on a terminal and in a notebook, else lines.
        every_seconds: seconds after which a line is due within an epoch or an evaluation.
    """

    def __init__(self, display: Literal["auto", "bar", "lines"] = "auto", every_seconds: float = 10.0) -> None:
        if not every_seconds > 0:
            raise UserError(f"every_seconds is {every_seconds}: it must be above 0")
        self._display, self._every_seconds = display, every_seconds
        self._bar: TerminalBar | NotebookBar | None = None
        self._latest: dict[str, float] = {}
        self._numbers: tuple[str, ...] = ()
        self._pace = ""
        self._evaluation: Task | None = None
        self._line_at = (0.0, 0)

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Open the display."""
        self._run, self._done = run, run.start_step
        self._stop = run.stop or run.total
        self._left = TimeLeft(self._stop, run.evaluations)
        self._line_at = (time.monotonic(), run.start_step)
        self._bar = _bar_of(self._display, self._picture)

    @sslkit.hookimpl
    def step_end(self, at: Position) -> None:
        """Move the bar; no tensor is read."""
        self._done = at.step + 1
        self._left.stepped(self._done, time.monotonic())
        if self._bar is not None:
            self._bar.changed()

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Take the newest numbers; a line if one is due."""
        self._latest.update((row.name, row.value) for row in rows)
        # made here: the bar looks at them in a thread of its own
        self._numbers, self._pace = status(self._latest)
        if self._bar is not None:
            self._bar.changed()
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
    def evaluation_progress(self, label: str, done: int, total: int) -> None:
        """How far the evaluator is that runs; a line where that takes long."""
        now = time.monotonic()
        self._left.evaluation_began(now)
        text = f"evaluating: {label.replace('/', ' ')}" + (f"  {done}/{total} images" if total else "")
        self._evaluation = Task(text, done, total)
        if self._bar is not None:
            self._bar.changed()
        elif now - self._line_at[0] >= self._every_seconds:
            self._line_at = (now, self._line_at[1])
            tell(text)

    @sslkit.hookimpl
    def evaluation_end(self, step: int, values: Mapping[str, float]) -> None:
        """The headline of every evaluator in one line; the others are in ``metrics.csv``."""
        self._left.evaluation_over(step, time.monotonic())
        self._evaluation = None
        epochs = step / self._run.steps_per_epoch
        when = f"after {epochs:.4g} epoch{'s' * (epochs != 1)}" if step else "before training"
        text = f"evaluation {when}: {headline(values, self._run.in_words) or 'nothing to measure'}"
        if self._bar is None or not self._bar.line(text):
            tell(text)

    @sslkit.hookimpl
    def fit_end(self, summary: Mapping[str, Any]) -> None:
        """Close the display."""
        self._close()

    @sslkit.hookimpl
    def run_failed(self, error: BaseException) -> None:
        """Close the display, so that the error below it can be read; the engine reports it."""
        self._close()

    def _where(self) -> str:
        per_epoch = self._run.steps_per_epoch
        epoch = max(1, math.ceil(self._done / per_epoch))
        return f"epoch {epoch}/{math.ceil(self._stop / per_epoch)}  step {self._done}/{self._stop}"

    def _time_left(self) -> str:
        return remaining(self._left.seconds(self._done, time.monotonic()))

    def _picture(self) -> Picture:
        training = Task(self._where(), self._done, self._stop, self._time_left())
        tasks = (training,) if self._evaluation is None else (training, self._evaluation)
        return Picture(tasks, [part for part in (*self._numbers, self._pace) if part])

    def _line(self) -> None:
        self._line_at = (time.monotonic(), self._done)
        tell("  ".join(part for part in (self._where(), *self._numbers, self._pace, self._time_left()) if part))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def remaining(seconds: float | None) -> str:
    """The time left, such as ``1:02:05 left``; empty where it is not known."""
    return "" if seconds is None else f"{timedelta(seconds=round(seconds))} left"


def headline(values: Mapping[str, float], in_words: Callable[[str], str]) -> str:
    """The first number of every net and evaluator; the net is named where there are several.

    Args:
        values: by ``net/evaluator/metric``.
        in_words: what a person reads for such a name.
    """
    first: dict[str, str] = {}
    for name in values:
        first.setdefault(name.rpartition("/")[0], name)
    several = len({name.partition("/")[0] for name in first.values()}) > 1
    words = {name: in_words(name) for name in first.values()}
    return "; ".join(
        f"{name.partition('/')[0]}: {said} {values[name]:.4g}"
        if several and said != name
        else f"{said} {values[name]:.4g}"
        for name, said in words.items()
    )


def _bar_of(display: str, picture: Callable[[], Picture]) -> TerminalBar | NotebookBar | None:
    console = rich.get_console()
    if display != "lines" and console.is_jupyter:
        return NotebookBar(picture)
    if display == "bar" or (display == "auto" and console.is_terminal and not console.is_dumb_terminal):
        return TerminalBar(picture)
    return None


def status(latest: Mapping[str, float]) -> tuple[tuple[str, ...], str]:
    """What a person watches: the numbers that are learned by, each with its name, and the pace.

    Args:
        latest: the newest value of every logged name; what is not there is left out.
    """
    shown = [("loss", latest.get("loss"), ".4f"), ("lr", latest.get("lr"), ".2e")]
    entropies = [value for name, value in latest.items() if name.endswith("teacher_entropy")]
    if entropies:
        shown.insert(1, ("teacher entropy", entropies[0], ".3f"))
    numbers = tuple(f"{label} {value:{form}}" for label, value, form in shown if value is not None)
    rate = latest.get("time/images_per_second")
    pace = "" if rate is None else f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.2f} images/s"
    return numbers, pace
