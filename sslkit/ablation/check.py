"""Builds what a run would build, for what it would refuse."""

from __future__ import annotations

import dataclasses
import json

import torch

from sslkit.engine.build import build_run, dataset, evaluators, length, training_images
from sslkit.engine.dry_run import dry_run
from sslkit.evaluation.needs import check_evaluators
from sslkit.parts.dataset import Dataset
from sslkit.recipe.model import PartSpec, Recipe


class Checker:
    """Builds cells one after the other; data sets that several of them name are built, and listed, once."""

    def __init__(self) -> None:
        self._data: dict[str, Dataset] = {}

    def steps(self, recipe: Recipe) -> int:
        """How many optimizer steps a run has, after everything that it needs was built, on the CPU.

        Raises:
            UserError: whatever a part refuses.
        """
        images = training_images(recipe, self._dataset(recipe.data))
        steps = length(recipe, len(images))
        classes = len(images.classes) if images.classes is not None else None
        # the machine that trains may have what this one lacks
        here = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, precision="fp32"))
        run = build_run(here, steps, classes, torch.device("cpu"))
        dry_run(here, run, classes)
        judged = self._dataset(recipe.eval_data or recipe.data)
        check_evaluators(evaluators(recipe), recipe.evaluate, run.student.backbone, recipe.preprocess, judged)
        return steps.total

    def _dataset(self, spec: PartSpec) -> Dataset:
        key = json.dumps(spec.plain(), sort_keys=True, default=str)
        if key not in self._data:
            self._data[key] = dataset(spec)
        return self._data[key]
