"""Classification of frozen features with few labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Answers,
    Backbone,
    Dataset,
    Evaluator,
    Features,
    Frozen,
    Images,
    Metrics,
    Preprocess,
    generator,
    rank,
)
from sslkit_evaluators.logistic import fit_logistic
from sslkit_evaluators.subset import Some, class_count, class_name, labels_of
from sslkit_evaluators.top_hits import top_hits

log = logging.getLogger("sslkit")


class LowShot(Evaluator):
    """Logistic regression on frozen features with few labels (Caron et al. 2021, appendix: 1% and 10% of ImageNet's).

    As its author did it (github.com/facebookresearch/dino, issue 121): plain features as for k-NN, L2-normalised; no
    intercept; the sum of the cross-entropies plus l2 / 2 times the squared norm of the weights, solved to convergence
    (here by L-BFGS in float64, there by cyanure). Only the drawn train images go through the backbone.

    Gives the accuracy on the test images in percent: ``pS_top1`` with S percent of each class's train images,
    ``nN_top1`` with N images a class; means over ``repeats`` draws, and then ``pS_top1_std`` too, their standard
    deviation (of a sample: over repeats - 1). The draws depend on seed and repeat; smaller ones are parts of larger.

    Args:
        shares: shares of each class's train images, in 0..1; at least one image a class.
        per_class: numbers of images a class.
        repeats: draws.
        l2: weight decay, as above; the author tried 0.01, 0.1 and 1, and 0.1 gives the paper's 64.5 with 1% for
            ViT-S/16 (the same issue).
        iterations: of L-BFGS, at most; a fit that needs more is told of.
    """

    needs = frozenset({"labels", "test"})

    def __init__(
        self,
        shares: tuple[float, ...] = (0.01, 0.1),
        per_class: tuple[int, ...] = (),
        repeats: int = 1,
        l2: float = 0.1,
        iterations: int = 1000,
    ) -> None:
        if not shares and not per_class:
            raise UserError("shares and per_class: both are empty; give at least one share or number of images")
        if any(not 0 < share <= 1 for share in shares) or len(set(shares)) < len(shares):
            raise UserError(f"shares: {list(shares)} must be different shares above 0 and at most 1")
        if any(number < 1 for number in per_class) or len(set(per_class)) < len(per_class):
            raise UserError(f"per_class: {list(per_class)} must be different numbers of images, each at least 1")
        if repeats < 1:
            raise UserError(f"repeats: {repeats} must be at least 1")
        if not l2 > 0:
            raise UserError(f"l2: {l2} must be above 0: without it the optimum is at infinity")
        if iterations < 1:
            raise UserError(f"iterations: {iterations} must be at least 1")
        self.shares, self.per_class, self.repeats = shares, per_class, repeats
        self.l2, self.iterations = l2, iterations

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        amount, _, rest = metric[1:].partition("_top1")
        labels = f"{amount}% of the labels" if metric.startswith("p") else f"{amount} labelled images a class"
        return f"few labels top-1 ({labels}){', standard deviation over draws' if rest else ''}"

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is not None and test is not None:
            self._by_class(train, test)

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            raise RunError("low-shot classification needs a train and a test split")
        by_class = self._by_class(train, test)
        draws = [self._draw(by_class, frozen.seed, repeat) for repeat in range(self.repeats)]
        chosen = sorted({index for draw in draws for indices in draw.values() for index in indices})
        known = frozen.features(train if len(chosen) == len(train) else Some(train, chosen))
        asked = frozen.features(test)
        rows = {chosen[position]: row for row, position in enumerate(known.indices.tolist())}
        values: dict[str, float] = {}
        answers: dict[str, Answers] = {}
        for name in draws[0]:
            of_draws = [
                self._answers(name, known, [rows[index] for index in draw[name] if index in rows], asked, by_class)
                for draw in draws
            ]
            found = [100 * float(one.right.double().mean()) for one in of_draws]
            answers[name] = Answers.joined(of_draws)
            values[name] = fmean(found)
            if self.repeats > 1:
                values[f"{name}_std"] = stdev(found)
        return Metrics(values, answers=answers)

    def _by_class(self, train: Images, test: Images) -> Mapping[int, np.ndarray]:
        """The train images of each class, checked against the options."""
        labels = labels_of(train)
        by_class = {label: np.flatnonzero(labels == label) for label in range(class_count(train, test))}
        label, least = min(by_class.items(), key=lambda item: len(item[1]))
        if not len(least):
            option = "shares" if self.shares else "per_class"
            raise UserError(
                f"{option}: there is no train image of the class {class_name(train, label)}, and every class needs one"
            )
        if max(self.per_class, default=0) > len(least):
            raise UserError(
                f"per_class: {max(self.per_class)} images a class are more than the {len(least)} train images of the "
                f"class {class_name(train, label)}: use at most {len(least)}"
            )
        return by_class

    def _draw(self, by_class: Mapping[int, np.ndarray], seed: int, repeat: int) -> dict[str, list[int]]:
        """Indices of train images by the name of the number that they are for."""
        orders = [
            indices[generator("lowshot", seed, repeat, label).permutation(len(indices))].tolist()
            for label, indices in by_class.items()
        ]
        draw = {
            f"p{100 * share:g}_top1": [order[: max(1, round(share * len(order)))] for order in orders]
            for share in self.shares
        }
        draw |= {f"n{number}_top1": [order[:number] for order in orders] for number in self.per_class}
        return {name: [index for part in parts for index in part] for name, parts in draw.items()}

    def _answers(
        self, name: str, known: Features, rows: list[int], asked: Features, by_class: Mapping[int, np.ndarray]
    ) -> Answers:
        if known.labels is None or asked.labels is None or not len(asked.x):
            raise RunError("no labelled test image could be read")
        labels = known.labels[rows]
        if len(labels.unique()) < len(by_class):
            raise RunError(f"{name}: of a class no train image that was drawn could be read: draw more of them")
        fit = fit_logistic(_unit(known.x[rows]), labels, len(by_class), l2=self.l2, iterations=self.iterations)
        if not fit.converged and rank() == 0:
            log.warning(
                "lowshot: %s is of a fit that has not converged: use more iterations than %d", name, self.iterations
            )
        return Answers(asked.indices, top_hits(_unit(asked.x) @ fit.weight, asked.labels))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.to(torch.float64), dim=1)
