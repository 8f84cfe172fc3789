"""A bar that stays in place, on a terminal or in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import rich
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sslkit.parts import stderr_is_shown

#: Columns that a bar needs beside texts; with fewer it gets a line of its own.
_LEAST_BAR = 10
#: Seconds between two updates in a notebook, each of which is a message to the browser.
_NOTEBOOK_PACE = 0.5


@dataclass(frozen=True)
class Task:
    """Something that is under way.

    Attributes:
        text: what it is.
        done: how much of it.
        total: of how much; 0: not known.
        left: what stands behind the bar.
    """

    text: str
    done: int
    total: int
    left: str = ""


@dataclass(frozen=True)
class Picture:
    """What a person sees: bars as wide as the terminal, and numbers below them.

    Attributes:
        tasks: the training, and an evaluation while one runs.
        numbers: each short; they stay whole where lines break.
    """

    tasks: tuple[Task, ...]
    numbers: Sequence[str] = ()

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        for task in self.tasks:
            yield from _drawn(task, width)
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in packed(self.numbers, width))


def _drawn(task: Task, width: int) -> RenderResult:
    texts = packed([*task.text.split("  "), *([task.left] if task.left else [])], width)
    bar = ProgressBar(total=task.total or None, completed=task.done, pulse=not task.total)
    if len(task.text) + len(task.left) + _LEAST_BAR + 2 > width:
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in texts)
        # a bar alone would not end its line
        alone = Table.grid(expand=True)
        alone.add_column(ratio=1)
        alone.add_row(bar)
        yield alone
        return
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_row(Text(task.text), bar, *([Text(task.left)] if task.left else []))
    yield grid


def packed(parts: Sequence[str], width: int, between: str = "  ") -> list[str]:
    """Parts in as few lines of this width as hold them in order; no part is broken."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(between) + len(part) <= width:
            lines[-1] += between + part
        else:
            lines.append(part)
    return lines


class TerminalBar:
    """Shows a picture below everything that is printed, four times a second.

    Args:
        picture: makes it; called in a thread.
    """

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._live = Live(
            console=rich.get_console(), get_renderable=picture, refresh_per_second=4, redirect_stderr=stderr_is_shown()
        )
        self._live.start()

    def changed(self) -> None:
        """It looks by itself."""

    def line(self, _text: str) -> bool:
        """Whether the bar shows lines itself: no, they are printed above it."""
        return False

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


class NotebookBar:
    """One output of a notebook's cell that is updated in place, with the lines of all evaluations below it.

    Args:
        picture: makes the picture.
    """

    def __init__(self, picture: Callable[[], Picture]) -> None:
        from IPython.display import display  # there in every kernel, and nowhere needed but there

        self._picture, self._lines = picture, list[str]()
        self._shown_at = time.monotonic()
        self._handle: Any = display(self._content(), raw=True, display_id=True)

    def changed(self) -> None:
        """Update, if the last time is long enough ago."""
        if time.monotonic() - self._shown_at >= _NOTEBOOK_PACE:
            self._update()

    def line(self, text: str) -> bool:
        """Add a line, which stays."""
        self._lines.append(text)
        self._update()
        return True

    def close(self) -> None:
        """Show the last state."""
        self._update()

    def _update(self) -> None:
        self._shown_at = time.monotonic()
        self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        console = Console(width=100, force_jupyter=False, force_terminal=False, color_system=None)
        with console.capture() as captured:
            console.print(self._picture())
        return {"text/plain": "\n".join([captured.get().rstrip(), *self._lines])}
