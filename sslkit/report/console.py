"""What a run says to the person at the terminal, and to its ``log.txt``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich
from rich.table import Table

from sslkit.engine.distributed import is_first
from sslkit.engine.reporting import log, say
from sslkit.evaluation.runner import Progress
from sslkit.parts import terminal
from sslkit.streams import complain

__all__ = ["evaluation_bar", "log", "logging_to", "say", "show"]


def show(table: Table) -> None:
    """A table on the first rank's terminal, whole where standard output is a file or a pipe."""
    if is_first():
        terminal.show(table)


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


@contextmanager
def evaluation_bar() -> Iterator[Progress]:
    """Shows how far the evaluator is that runs, on the first rank's terminal."""
    if not is_first() or not rich.get_console().is_terminal:
        yield lambda _label, _done, _total: None
        return
    with terminal.bar("evaluating") as shown:
        (task,) = shown.task_ids

        def update(label: str, done: int, total: int) -> None:
            shown.update(task, description=label.replace("/", " "), completed=done, total=total or None)

        yield update


class _Warnings(logging.Handler):
    """Shows warnings on standard error; on the terminal that a live line uses, above that line."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if terminal.stderr_is_shown():
            terminal.tell(text)
        else:
            complain(text)


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Send sslkit's log to a file, and its warnings to standard error, for the length of a run.

    Args:
        file: None on ranks that write nothing.
    """
    warnings = _Warnings(logging.WARNING)
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
