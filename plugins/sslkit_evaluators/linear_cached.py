"""A linear probe on features that are computed once."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import Answers, Classifier, Dataset, Evaluator, Frozen, Metrics, generator
from sslkit_evaluators.linear_probes import LinearProbes, check_length, check_rates
from sslkit_evaluators.subset import class_names


class LinearCached(Evaluator):
    """Linear classification of frozen features that are computed once, without augmentation: quick, but another
    protocol than the paper's (see ``linear``), so numbers of the two are not to be compared.

    SGD with momentum 0.9, no weight decay, cosine to zero. Several learning rates are trained side by side on nine
    tenths of the train images; the one that is best on the tenth that was held out is judged on the test images.

    Gives ``top1`` of that rate in percent, ``validation_top1`` of the same on the held-out train images, and ``lr``.
    It is kept, and ``sslkit predict`` applies it.

    Args:
        lrs: learning rates, for 256 images a step.
        epochs: passes over the train features.
        batch_size: images a step; rates scale with batch_size / 256.
        standardize: give every feature dimension mean 0 and standard deviation 1 (of the train part), so that the
            same rates fit features of any scale; false: raw features.
        held_out: share of the train images that chooses the rate.
    """

    needs = frozenset({"labels", "test"})
    trains_classifier = True

    def __init__(
        self,
        lrs: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        epochs: int = 100,
        batch_size: int = 1024,
        standardize: bool = True,
        held_out: float = 0.1,
    ) -> None:
        check_rates(lrs)
        check_length(epochs, batch_size)
        if not 0 < held_out < 1:
            raise UserError(f"held_out: {held_out} must be a share of the train images, between 0 and 1")
        self.lrs, self.epochs, self.batch_size = lrs, epochs, batch_size
        self.standardize, self.held_out = standardize, held_out

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        words = {"top1": "top-1", "validation_top1": "top-1 on held-out train images", "lr": "learning rate"}
        return f"linear probe on cached features {words.get(metric, metric)}"

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            raise RunError("a linear probe needs a train and a test split")
        known, asked = frozen.features(train), frozen.features(test)
        if len(known.x) < 2 or not len(asked.x) or known.labels is None or asked.labels is None:
            raise RunError("a linear probe needs at least two labelled train images and a test image that can be read")
        order = torch.from_numpy(generator("linear_split", frozen.seed).permutation(len(known.x))).to(known.x.device)
        out = min(len(order) - 1, max(1, round(self.held_out * len(order))))
        held, kept = order[:out], order[out:]
        x, held_x, test_x = known.x[kept], known.x[held], asked.x
        mean, std = None, None
        if self.standardize:
            mean, std = x.mean(dim=0), x.std(dim=0, correction=0).clamp_min(1e-6)
            x, held_x, test_x = ((rows - mean) / std for rows in (x, held_x, test_x))
        classes = 1 + int(torch.cat([known.labels, asked.labels]).max())
        probes = self._train(x, known.labels[kept], classes, frozen.seed)
        validation = probes.accuracy(held_x, known.labels[held])
        best = max(range(len(self.lrs)), key=lambda row: (validation[row], -self.lrs[row]))
        if not torch.isfinite(probes.weight[:, best]).all():
            raise RunError(
                f"the linear probe diverged at every learning rate of lrs {list(self.lrs)}: use smaller ones"
            )
        top1 = probes.accuracy(test_x, asked.labels)[best]
        return Metrics(
            {"top1": top1, "validation_top1": validation[best], "lr": self.lrs[best]},
            answers={"top1": Answers(asked.indices, probes.right(test_x, asked.labels)[:, best])},
            classifier=Classifier(
                probes.weight[:, best].T, probes.bias[best], class_names(train, classes), mean=mean, std=std
            ),
        )

    def _train(self, x: Tensor, labels: Tensor, classes: int, seed: int) -> LinearProbes:
        probes = LinearProbes(
            x.shape[1],
            classes,
            lrs=self.lrs,
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=seed,
            device=x.device,
        )
        for epoch in range(self.epochs):
            probes.train_epoch(x, labels, epoch)
        return probes
