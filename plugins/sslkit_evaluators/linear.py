"""The linear probe as the paper trains it."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Answers,
    Backbone,
    Classifier,
    Dataset,
    Evaluator,
    Features,
    Frozen,
    FrozenFeature,
    Images,
    Metrics,
    PathOption,
    Preprocess,
)
from sslkit_evaluators.linear_head import LinearHead, read_head
from sslkit_evaluators.linear_probes import LinearProbes, check_length, check_rates
from sslkit_evaluators.random_crop import check_scale
from sslkit_evaluators.subset import class_count, class_names
from sslkit_evaluators.top_hits import top_accuracy, top_answers
from sslkit_evaluators.train_crop import TrainCrop


class Linear(Evaluator):
    """Linear classification as the reference DINO's eval_linear.py does it: the frozen backbone runs anew over
    randomly cropped and flipped train images in every epoch; SGD with momentum 0.9, no weight decay, cosine to zero.
    The paper's settings: ViT-S: ``blocks: 4``; ViT-B: ``average_patches: true``; convnets: as it stands.

    All learning rates are trained side by side in one pass. Gives ``lrRATE_top1`` in percent for each, and
    ``best_top1``, its ``best_top5`` and ``best_lr``: chosen on the test images themselves, as papers report it. With
    ``head`` nothing is trained, and a head from a file is judged: ``top1`` and ``top5``. An epoch's features are
    computed first and held in memory (train images x feature width x 4 bytes); as the backbone is frozen, that
    changes nothing. Every epoch costs a forward pass over the train split: for a quick look use ``linear_cached``.
    The best one is kept, and ``sslkit predict`` applies it.

    Args:
        lrs: learning rates, for 256 images a step; the reference's default is 0.001, and the paper sweeps.
        epochs: passes over the train images.
        batch_size: images a step; rates scale with batch_size / 256 (the paper: 1024 over 8 GPUs).
        blocks: last blocks whose [CLS] tokens are joined; more than 1 needs the capability ``intermediate``.
        average_patches: interleave the mean patch token with the [CLS] token; needs the capability ``patches``.
        scale: share of an image's area that a train crop keeps, least and largest.
        head: a file with a trained linear head, as the reference's eval_linear.py saves it (``linear.weight`` and
            ``linear.bias``, with or without ``module.``, within ``state_dict`` or not): it is judged as it is, and of
            the other options only ``blocks`` and ``average_patches`` matter; null: train.
    """

    needs = frozenset({"labels", "test"})
    trains_classifier = True

    def __init__(
        self,
        lrs: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03),
        epochs: int = 100,
        batch_size: int = 1024,
        blocks: int = 1,
        average_patches: bool = False,
        scale: tuple[float, float] = (0.08, 1.0),
        head: PathOption | None = None,
    ) -> None:
        check_rates(lrs)
        check_length(epochs, batch_size)
        if blocks < 1:
            raise UserError(f"blocks: {blocks} must be at least 1")
        if average_patches and blocks > 1:
            raise UserError(f"average_patches goes with blocks: 1 and not with {blocks}, as in the reference")
        if not check_scale(scale):
            raise UserError(f"scale: {list(scale)} must be two shares of the area, 0 < least <= largest <= 1")
        self.lrs, self.epochs, self.batch_size = lrs, epochs, batch_size
        self.blocks, self.average_patches, self.scale = blocks, average_patches, scale
        self.head = head

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        rate = re.fullmatch(r"lr(.+)_top1", metric)
        words = {"top1": "top-1", "top5": "top-5", "best_top1": "top-1 at the best learning rate",
                 "best_top5": "top-5 at the best learning rate", "best_lr": "best learning rate"}  # fmt: skip
        return f"linear probe {f'top-1 at learning rate {rate[1]}' if rate else words.get(metric, metric)}"

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            raise RunError("a linear probe needs a train and a test split")
        feature = self._feature(frozen.backbone)
        asked = frozen.features(test, extract=feature)
        if not len(asked.x) or asked.labels is None:
            raise RunError("no labelled test image could be read")
        if self.head is not None:
            head = self._read_head(self.head, frozen.backbone, train, test)
            logits = head.logits(asked.x)
            values = {f"top{top}": top_accuracy(logits, asked.labels, top) for top in (1, 5)}
            answers = top_answers(logits, asked.labels, asked.indices)
            return Metrics(values, answers=answers, classifier=self._classifier(head.weight, head.bias, train))
        probes = self._train(frozen, train, feature, asked)
        return self._judged(probes, train, asked)

    def _judged(self, probes: LinearProbes, train: Images, asked: Features) -> Metrics:
        """The numbers of all rates on the test images, the best one's first, and the best classifier."""
        assert asked.labels is not None
        found = {top: probes.accuracy(asked.x, asked.labels, top=top) for top in (1, 5)}
        right = {top: probes.right(asked.x, asked.labels, top=top) for top in (1, 5)}
        best = max(range(len(self.lrs)), key=lambda row: (found[1][row], -self.lrs[row]))
        values = {"best_top1": found[1][best], "best_top5": found[5][best], "best_lr": self.lrs[best]}
        answers = {f"best_top{top}": Answers(asked.indices, right[top][:, best]) for top in (1, 5)}
        for row, lr in enumerate(self.lrs):
            values[f"lr{lr:g}_top1"] = found[1][row]
            answers[f"lr{lr:g}_top1"] = Answers(asked.indices, right[1][:, row])
        kept = self._classifier(probes.weight[:, best].T, probes.bias[best], train)
        return Metrics(values, answers=answers, classifier=kept)

    def _classifier(self, weight: Tensor, bias: Tensor, train: Images) -> Classifier:
        names = class_names(train, len(bias))
        return Classifier(weight, bias, names, blocks=self.blocks, average_patches=self.average_patches)

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        self._feature(backbone)
        train, test = data.split("train"), data.split("test")
        if self.head is not None and train is not None and test is not None:
            self._read_head(self.head, backbone, train, test)

    def _read_head(self, path: str, backbone: Backbone, train: Images, test: Images) -> LinearHead:
        head = read_head(path, backbone.embed_dim * (2 if self.average_patches else self.blocks))
        classes = class_count(train, test)
        if len(head.bias) != classes:
            raise UserError(
                f"head: {path} tells {len(head.bias)} classes apart, and the data has {classes}: "
                "judge it with the data that it was trained for"
            )
        return head

    def _feature(self, backbone: Backbone) -> FrozenFeature:
        needed = {"intermediate"} if self.blocks > 1 else {"patches"} if self.average_patches else set()
        if needed - backbone.capabilities:
            option = "average_patches" if self.average_patches else "blocks"
            raise UserError(
                f"{option}: the backbone {type(backbone).__name__} does not have the capability "
                f"{' and '.join(needed)}; leave {option} out"
            )
        return FrozenFeature(backbone, self.blocks, self.average_patches)

    def _train(self, frozen: Frozen, train: Images, feature: FrozenFeature, asked: Features) -> LinearProbes:
        preprocess, seed = frozen.preprocess, frozen.seed
        probes: LinearProbes | None = None
        for epoch in range(self.epochs):
            crop = TrainCrop(preprocess.size, preprocess.resize or preprocess.size, self.scale, seed, epoch)
            known = frozen.features(train, transform=crop, extract=feature)
            if not len(known.x) or known.labels is None or asked.labels is None:
                raise RunError("no labelled train image could be read")
            if probes is None:
                classes = 1 + int(torch.cat([known.labels, asked.labels]).max())
                probes = LinearProbes(
                    known.x.shape[1],
                    classes,
                    lrs=self.lrs,
                    batch_size=self.batch_size,
                    epochs=self.epochs,
                    seed=seed,
                    device=known.x.device,
                )
            probes.train_epoch(known.x, known.labels, epoch)
            del known  # before the next epoch's features are made: one block of them is large enough
        assert probes is not None  # epochs is at least 1
        return probes
