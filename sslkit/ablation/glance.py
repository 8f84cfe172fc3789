"""Where a run stands, seen from outside: its ``metrics.csv``, read on as it grows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO


class Glance:
    """What a person wants to know of a run that another process trains.

    Args:
        folder: the run folder.
        epochs: of the whole run.
        metric: the evaluation's number that is shown.

    Attributes:
        epoch: epochs done, with a fraction.
    """

    def __init__(self, folder: Path, epochs: int, metric: str | None) -> None:
        self._file, self._epochs, self._metric = folder / "metrics.csv", epochs, metric
        self._open: IO[str] | None = None
        self._rest = ""
        self.epoch = 0.0
        self._latest: dict[str, float] = {}

    def look(self) -> None:
        """Read what has been written since."""
        try:
            if self._open is None:
                self._open = self._file.open(encoding="utf-8", newline="")
            text = self._rest + self._open.read()
        except (OSError, UnicodeDecodeError):
            return
        *lines, self._rest = text.split("\n")
        for row in csv.reader(lines):
            if len(row) == 4 and row[0].isdigit():
                self._take(float(row[1]), row[2], float(row[3]))

    def _take(self, epoch: float, name: str, value: float) -> None:
        self.epoch = epoch
        if name in ("loss", self._metric):
            self._latest[name] = value

    @property
    def share(self) -> float:
        """Of the run that is done, from 0 to 1."""
        return min(1.0, self.epoch / self._epochs)

    def __str__(self) -> str:
        numbers = "  ".join(f"{name.removeprefix('teacher/')} {value:.4g}" for name, value in self._latest.items())
        return f"epoch {self.epoch:.1f}/{self._epochs}  {numbers}".rstrip()

    def close(self) -> None:
        """Look no more."""
        if self._open is not None:
            self._open.close()
            self._open = None
