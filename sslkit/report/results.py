"""What the calls of sslkit give back: plain attributes, and a text that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.report.gains import headlines


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a call of :func:`sslkit.fit` gives.

    Attributes:
        folder: the run folder.
        summary: flat numbers as in ``summary.json``; empty if the run was cut short by ``train.max_steps``.
    """

    folder: Path
    summary: Mapping[str, Any]

    def __repr__(self) -> str:
        """The folder and the headline numbers."""
        if not self.summary:
            return f"RunResult(folder={str(self.folder)!r}, not finished: cut short by train.max_steps)"
        numbers = {row.name: row.after.value for row in headlines(self.summary)}
        numbers |= {name: self.summary[name] for name in ("loss", "steps", "seconds") if name in self.summary}
        return f"RunResult(folder={str(self.folder)!r}, {', '.join(_numbers(numbers))})"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a call of :func:`sslkit.evaluate` gives.

    Attributes:
        values: numbers by ``net/evaluator/metric``, such as ``teacher/knn/k20_top1``.
        folder: where ``results.json`` and pictures are.
        files: the pictures and tables that evaluators wrote there.
        skipped: why an evaluator did not run, by ``net/evaluator``.
        unreadable: why an image was left out, by name.
        intervals: the 95% interval (low, high) of each accuracy in percent, by its name.
        comparisons: a sentence on each accuracy that was measured on raw pixels too.
    """

    values: Mapping[str, float]
    folder: Path
    files: tuple[Path, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    comparisons: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """The number of this name."""
        return self.values[name]

    def __repr__(self) -> str:
        """One number a line."""
        lines = [f"  {line}" for line in _numbers(self.values)]
        lines += [f"  {name} is skipped: {why}" for name, why in self.skipped.items()]
        lines += [f"  {len(self.unreadable)} images could not be read"] if self.unreadable else []
        return "\n".join([f"Evaluation(folder={str(self.folder)!r}):", *lines])


@dataclass(frozen=True, repr=False)
class Embedding:
    """What a call of :func:`sslkit.embed` gives: one row for each image that could be read.

    Attributes:
        features: ``[N, D]`` float32.
        names: ``[N]``, of the images.
        splits: ``[N]``, ``train`` or ``test``.
        labels: ``[N]`` numbers of classes; -1 without a label.
        net: the net whose features they are.
        file: where they were written; None: nowhere.
        unreadable: why an image was left out, by name.
    """

    features: np.ndarray
    names: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    net: str
    file: Path | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.names)

    def __repr__(self) -> str:
        """Shape, net and what is labelled."""
        images, width = self.features.shape
        labelled = int((self.labels >= 0).sum())
        left_out = f", {len(self.unreadable)} unreadable" if self.unreadable else ""
        file = f", file={str(self.file)!r}" if self.file else ""
        return f"Embedding({images} images x {width} features of the {self.net}, {labelled} labelled{left_out}{file})"


@dataclass(frozen=True, repr=False)
class Exported:
    """What a call of :func:`sslkit.export` gives.

    Attributes:
        file: what was written.
        load: Python code that loads it.
        about: whose weights they are.
        input: what the network takes.
    """

    file: Path
    load: str
    about: str
    input: str

    def lines(self) -> list[str]:
        """How to load the file, what it holds and what it takes, for a person."""
        code = self.load.splitlines()
        how = [f"load it: {self.load}"] if len(code) == 1 else ["load it:", *(f"  {line}" for line in code)]
        return [*how, f"{self.file}: {self.about}", f"its input: {self.input}"]

    def __repr__(self) -> str:
        """How to load the file, what it holds and what it takes."""
        return "\n".join([f"Exported(file={str(self.file)!r}):", *(f"  {line}" for line in self.lines())])


def _numbers(values: Mapping[str, Any]) -> Iterable[str]:
    return (f"{name}={value:.4g}" for name, value in values.items() if isinstance(value, (int, float)))
