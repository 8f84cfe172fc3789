"""The evaluations of a run: which evaluators are due when, and where their results go."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sslkit.data.loading import chosen_workers
from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import Length
from sslkit.engine.distributed import is_first
from sslkit.engine.precision import Precision
from sslkit.engine.run_folder import RunFolder
from sslkit.evaluation.runner import Progress, run_evaluators
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset
from sslkit.parts.evaluator import Evaluator
from sslkit.recipe.model import Judging, Recipe
from sslkit.recipe.settings import EvaluateWhen
from sslkit.report.console import say
from sslkit.report.tallies import write_tallies

log = logging.getLogger("sslkit")

#: Images a forward pass of an evaluation: enough to fill a GPU, little enough for a laptop.
EVALUATION_BATCH = 128


def loading(recipe: Recipe | Judging) -> dict[str, Any]:
    """How frozen backbones are fed: the keyword arguments that all evaluations share."""
    workers = recipe.train.workers
    return {
        "preprocess": recipe.preprocess,
        "seed": recipe.seed,
        "batch_size": EVALUATION_BATCH,
        "workers": chosen_workers(workers),
        "worker_timeout": recipe.train.worker_timeout,
    }


class RunEvaluation:
    """Judges the nets of a run with the evaluators that are due.

    Args:
        recipe: for its sections ``evaluate``, ``preprocess`` and ``train``.
        judges: the built evaluators that can run, by id.
        data: what they see.
        folder: pictures go to its ``pictures/``.
        precision: what features are computed in.
        steps: the run's length.
        bad: the list of unreadable images.
        progress: see :func:`run_evaluators`.
    """

    def __init__(
        self,
        recipe: Recipe,
        judges: Mapping[str, Evaluator],
        data: Dataset,
        folder: RunFolder,
        precision: Precision,
        steps: Length,
        bad: BadImages,
        progress: Progress,
    ) -> None:
        self.recipe, self.judges, self.data, self.folder = recipe, judges, data, folder
        self.precision, self.steps, self.bad, self.progress = precision, steps, bad, progress
        self._told: set[str] = set()

    def due(self, step: int) -> bool:
        """Whether anything runs when ``step`` steps are done."""
        return any(is_due(self.recipe.evaluate[key].when, step, self.steps) for key in self.judges)

    def __call__(self, nets: Mapping[str, Backbone], step: int) -> Mapping[str, float]:
        """Values by ``net/evaluator/metric`` of what is due when ``step`` steps are done."""
        due = {
            key: (judge, self.recipe.evaluate[key].when.which)
            for key, judge in self.judges.items()
            if is_due(self.recipe.evaluate[key].when, step, self.steps)
        }
        if not due:
            return {}
        result = run_evaluators(
            due,
            nets,
            self.data,
            device=self.precision.device,
            precision=self.precision.dtype,
            out_dir=self.folder.pictures,
            progress=self.progress,
            **loading(self.recipe),
        )
        self.bad.note(result.bad, "evaluation")
        # before the numbers are saved: a run that is killed and continued has both or neither
        if step in (0, self.steps.total) and result.tallies and is_first():
            write_tallies(self.folder.path, step, result.tallies)
        for name, reason in result.skipped.items():
            if name not in self._told:
                self._told.add(name)
                say(f"{name} is skipped: {reason}")
        return result.values


def is_due(when: EvaluateWhen, step: int, steps: Length) -> bool:
    """Whether an evaluator runs when ``step`` steps are done: as its keys say, and always at the end."""
    if step == 0:
        return when.at_start
    if step == steps.total:
        return True
    epoch, rest = divmod(step, steps.steps_per_epoch)
    return when.every > 0 and rest == 0 and epoch % when.every == 0
