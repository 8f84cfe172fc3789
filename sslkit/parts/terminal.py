"""Lines for the person at the terminal."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sslkit.streams import silence

T = TypeVar("T")


def tell(text: str) -> None:
    """Print one line, above whatever is live on the terminal.

    On a terminal it breaks between words; a path or command that is longer than the terminal stays whole, so that it
    can be copied. A standard output that is closed, full or without a reader ends nothing: the run matters more.

    Args:
        text: without markup.
    """
    console = rich.get_console()
    try:
        if console.is_jupyter:
            # lines of one stream; the console would make an output of each
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
            return
        if console.is_terminal:
            text = wrapped(text, console.width)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    except (SystemExit, OSError, ValueError):  # rich exits where the reader has gone (`| head`)
        silence(sys.stdout)


def wrapped(text: str, width: int) -> str:
    """A text in lines that break between words; a word that is longer than a line stays whole."""
    indent = text[: len(text) - len(text.lstrip())]
    lines = text.splitlines()
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            replace_whitespace=False,
        )
        for line in lines
    )  # fmt: skip


def show(what: RenderableType) -> None:
    """Print a table or the like, as :func:`tell` does; where standard output is a file or a pipe, in its full width."""
    console = rich.get_console()
    try:
        # a console prints nothing wider than itself: a file gets one that is wide enough
        wide = console if console.is_terminal or console.is_jupyter else Console(file=console.file, width=160)
        wide.print(what)
    except (SystemExit, OSError, ValueError):
        silence(sys.stdout)


def stderr_is_shown() -> bool:
    """Whether standard error reaches the same person as the live lines: then both go through one console."""
    return rich.get_console().is_terminal and sys.__stderr__ is not None and sys.__stderr__.isatty()


def tracked(things: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The same things; on a terminal with a bar that says how many of them are done.

    Args:
        things: what is worked through.
        what: is done with them.
        total: how many they are.
    """
    console = rich.get_console()
    if not console.is_terminal:
        yield from things
        return
    with bar(what, total) as progress:
        for thing in things:
            yield thing
            progress.advance(progress.task_ids[0])


def bar(what: str, total: int | None = None) -> Progress:
    """A bar as wide as the terminal, which goes away when it is done.

    Args:
        what: is being done.
        total: how many things; None: not known yet.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(
        *columns, console=rich.get_console(), transient=True, expand=True, redirect_stderr=stderr_is_shown()
    )
    progress.add_task(what, total=total)
    return progress
