"""Every logged number in one tidy file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import sslkit
from sslkit.parts import Row, RunInfo, Watcher

_HEADER = "step,epoch,name,value\n"


class CsvLog(Watcher):
    """Writes ``metrics.csv`` in the run folder: one line a number, with the columns step, epoch, name and value.

    Numbers are written with all their digits, so equal numbers give equal text. When a run is resumed, lines after
    the checkpoint's step are cut off first, so the file equals that of a run without interruption (but for the names
    under ``time/``). Every batch of lines is on the disk before the run goes on.
    """

    def __init__(self) -> None:
        self._file: Path | None = None

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Start the file, or cut it back to the step that the run resumes from."""
        self._file = run.folder / "metrics.csv"
        kept = _rows_until(self._file, run.start_step, run.pending)
        _replace(self._file, _HEADER + "".join(kept))

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Append, and wait until it is on the disk."""
        if self._file is None:
            raise RuntimeError("rows were logged before fit_start")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows((row.step, repr(float(row.epoch)), row.name, repr(float(row.value))) for row in rows)
        with self._file.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())


def _rows_until(file: Path, step: int, pending: bool) -> list[str]:
    """The complete lines of an earlier process up to a step; none for a run that starts at 0 and logs all again.

    With ``pending`` the evaluation of that step will be logged again too.
    """
    if step == 0 or not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        next(lines, None)
        # a process that was killed while writing leaves a line without an end
        return [line for line in lines if line.endswith("\n") and _stays(line, step, pending)]


def _stays(line: str, step: int, pending: bool) -> bool:
    at, epoch, name, value = next(csv.reader([line]))
    again = pending and int(at) == step and Row(int(at), float(epoch), name, float(value)).of_evaluation()
    return int(at) <= step and not again


def _replace(file: Path, text: str) -> None:
    """Put a new file in place of the old one at once: a kill leaves one of the two."""
    beside = file.with_name(f".{file.name}.new")
    with beside.open("w", encoding="utf-8", newline="") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    os.replace(beside, file)
