"""Runs the engine's own training step on given weights and given views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sslkit.data.batch import Batch
from sslkit.engine.build import Length, build_run
from sslkit.engine.run import Run
from sslkit.engine.step import StepReport, training_step
from sslkit.parts.position import Position
from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe


def replay(
    recipe: Recipe | Mapping[str, Any],
    weights: Mapping[str, Mapping[str, Tensor]],
    steps: Sequence[Mapping[str, Tensor]],
    steps_per_epoch: int,
    classes: int | None = None,
) -> Iterator[tuple[Run, StepReport]]:
    """Build a recipe's run on the CPU, load weights strictly, and make one step a set of views.

    Args:
        recipe: what to build, read already or as plain data; its data set is not touched.
        weights: state dicts for ``student`` and, where there is one, ``teacher``.
        steps: for every step, the normalised images ``[B, C, H, W]`` of each view id.
        steps_per_epoch: the epoch's length that schedules are to see.
        classes: number of classes, for heads that want it.

    Yields:
        the run after each step, and the step's report.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    preprocess = Preprocess(
        size=recipe.preprocess.size, mean=(0.0,) * recipe.preprocess.channels, std=(1.0,) * recipe.preprocess.channels
    )
    length = Length(steps_per_epoch, steps_per_epoch * recipe.train.epochs)
    run = build_run(replace(recipe, preprocess=preprocess), length, classes, torch.device("cpu"))
    for name, module in run.modules().items():
        if name in weights:
            module.load_state_dict(dict(weights[name]), strict=True)
    for step, views in enumerate(steps):
        at = Position(step, length.total, length.steps_per_epoch)
        yield run, training_step(run, _batch(run, views), at)


def _batch(run: Run, views: Mapping[str, Tensor]) -> Batch:
    """Normalised images as the loader would give them: the engine divides by 255 again."""
    specs = run.augmenter.views
    pixels = {
        size: torch.stack([views[spec.id] * 255 for spec in specs if spec.size == size])
        for size in dict.fromkeys(spec.size for spec in specs)
    }
    return Batch(pixels, torch.arange(len(views[specs[0].id])), None)
