"""What a run says to the person at the terminal, and to its ``log.txt``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich
from rich.console import Console
from rich.table import Table

from sslkit.engine.distributed import is_first

log = logging.getLogger("sslkit")


def say(text: str) -> None:
    """One line on the first rank's terminal and in the log."""
    log.info(text)
    if is_first():
        # the console that a live progress bar uses too, so that the line stands above the bar
        _print(rich.get_console(), text, highlight=False, markup=False, soft_wrap=True)


def show(table: Table) -> None:
    """A table on the first rank's terminal, whole where standard output is a file or a pipe."""
    if is_first():
        console = rich.get_console()
        _print(console if console.is_terminal else Console(file=console.file, width=160), table)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect sslkit's warnings, for a caller that prints them itself."""
    collector = _Collector()
    log.addHandler(collector)
    try:
        yield collector.messages
    finally:
        log.removeHandler(collector)


def _print(console: Console, what: str | Table, **style: Any) -> None:
    try:
        console.print(what, **style)
    except SystemExit:
        # rich gives up where the reader of our output has gone (`| head`): the run does not
        log.info("standard output is closed")


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Send sslkit's log to a file, and its warnings to standard error, for the length of a run.

    Args:
        file: None on ranks that write nothing.
    """
    warnings = logging.StreamHandler()
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handlers: list[logging.Handler] = [warnings]
    if file is not None:
        written = logging.FileHandler(file, encoding="utf-8")
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(written)
    level = log.level
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(level)
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
