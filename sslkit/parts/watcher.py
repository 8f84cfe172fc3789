"""The contract of a watcher: loggers, progress displays, monitors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One logged number.

    Attributes:
        step: optimizer steps done when it was taken (0: before training).
        epoch: epochs done, as a fraction (``step / steps_per_epoch``).
        name: such as ``loss``, ``lr``, ``dino/teacher_entropy``, ``teacher/knn/k20_top1``; names under
            ``time/`` are wall-clock values.
        value: the number.
    """

    step: int
    epoch: float
    name: str
    value: float

    def of_evaluation(self) -> bool:
        """Whether it is an evaluation's number of a net (and not a training step's)."""
        return self.name.startswith(("teacher/", "student/"))


@dataclass(frozen=True)
class RunInfo:
    """What a watcher may know of the run.

    Attributes:
        folder: the run folder.
        recipe: the resolved recipe, as plain data.
        start_step: optimizer steps done before this process began: logs are cut back to it.
        pending: whether the evaluation of ``start_step`` is still to be done: its rows are cut too.
        stop: the step that this process trains to: ``total``, or ``train.max_steps``; 0: not given.
        in_words: what a person reads for a metric's name ``net/evaluator/metric``.
        evaluations: the steps up to ``stop`` after which evaluators run, those that are done left out.
        total: optimizer steps of the whole run.
        steps_per_epoch: optimizer steps of one epoch.
        batch_size: images an optimizer step over all ranks.
        device: such as ``cpu`` or ``cuda:0``.
        world_size: number of processes.
    """

    folder: Path
    recipe: Mapping[str, Any]
    start_step: int
    total: int
    steps_per_epoch: int
    batch_size: int
    device: str
    world_size: int
    pending: bool = False
    stop: int = 0
    evaluations: tuple[int, ...] = ()
    in_words: Callable[[str], str] = str


class Watcher:
    """Watches a run and never acts on it; lives on the first rank alone.

    A watcher implements, with ``@sslkit.hookimpl``, any of the watching hooks of
    :mod:`sslkit.plugins.hookspecs`. One that raises is switched off with a warning; the run goes on.
    """

    def state_dict(self) -> dict[str, Any]:
        """What it remembers over a restart: plain numbers, strings, lists and mappings."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
