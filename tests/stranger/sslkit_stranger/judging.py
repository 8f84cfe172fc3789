"""An evaluator, and a watcher with every watching hook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

import sslkit
from sslkit.parts import Dataset, Evaluator, Frozen, Metrics, Outputs, Position, Row, RunInfo, Watcher


class Distance(Evaluator):
    """How far features are from each other on average.

    Args:
        power: of the norm.
    """

    needs = frozenset({"test"})

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """The mean distance of the test images' features."""
        images = data.split("test")
        assert images is not None
        x = frozen.features(images).x
        return Metrics({"mean": float((x[:, None] - x[None]).norm(p=self.power, dim=-1).mean())})


class Diary(Watcher):
    """Writes down which of its hooks fired.

    Args:
        file: its name in the run folder.
    """

    def __init__(self, file: str = "diary.txt") -> None:
        self.file = file
        self.path: Path | None = None

    def note(self, hook: str) -> None:
        """Append a line."""
        assert self.path is not None
        with self.path.open("a") as diary:
            diary.write(f"{hook}\n")

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Open the diary."""
        self.path = run.folder / self.file
        self.note("fit_start")

    @sslkit.hookimpl
    def step_end(self, at: Position, metrics: Mapping[str, Tensor], student: Outputs, teacher: Outputs | None) -> None:
        """After a step."""
        self.note("step_end")

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """When numbers were read back."""
        self.note("rows_logged")

    @sslkit.hookimpl
    def epoch_end(self, at: Position) -> None:
        """After an epoch."""
        self.note("epoch_end")

    @sslkit.hookimpl
    def evaluation_end(self, step: int, values: Mapping[str, float]) -> None:
        """After the evaluators."""
        self.note("evaluation_end")

    @sslkit.hookimpl
    def fit_end(self, summary: Mapping[str, Any]) -> None:
        """At the end."""
        self.note("fit_end")

    @sslkit.hookimpl
    def run_failed(self, error: BaseException) -> None:
        """When the run fails."""
        self.note("run_failed")
