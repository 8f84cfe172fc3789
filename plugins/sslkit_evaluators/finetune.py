"""Fine-tuning: the backbone is trained on, with labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Backbone,
    Classifier,
    Dataset,
    Evaluator,
    Frozen,
    Images,
    Metrics,
    Preprocess,
    mean_over_ranks,
    world_size,
)  # fmt: skip
from sslkit_evaluators.finetune_augment import Augmentation, Crops, DeiT
from sslkit_evaluators.finetune_batches import TrainBatches, least_images, steps_of
from sslkit_evaluators.finetune_training import Classifier as TrainedNet
from sslkit_evaluators.finetune_training import Schedule, Training
from sslkit_evaluators.linear_probes import check_length
from sslkit_evaluators.random_crop import check_scale
from sslkit_evaluators.subset import class_count, class_names
from sslkit_evaluators.top_hits import top_accuracy, top_answers

_AUGMENTATIONS: dict[str, type[Augmentation]] = {"deit": DeiT, "crops": Crops}
_AUTOCAST = {"float32": None, "bf16": torch.bfloat16}


class FineTune(Evaluator):
    """Trains a copy of the backbone and a linear classifier end to end with labels, by DeiT's protocol (Touvron et al.
    2021), as the paper did for its transfer tables; the backbone itself stays as it is.

    AdamW, warm-up and cosine by the step, RandAugment, random erasing, mixup or cutmix, label smoothing 0.1, drop path
    as the backbone was built with it (DeiT: 0.1). What DeiT has beside: repeated augmentation and an average of the
    weights; neither is done here. This is a training run of its own, longer than all other evaluators together: meant
    for ``sslkit eval RUN finetune``, and hardly for the middle of ``fit``.

    Gives ``top1`` and ``top5`` of the last epoch on the test images, in percent, and ``train_loss``, its mean loss
    (with mixed images and smoothed targets, so it stays well above 0). On one CPU or GPU model the same seed gives the
    same numbers, bit by bit on a CPU, whatever the number of workers; another number of ranks rounds otherwise.
    Backbone and classifier are kept, and ``sslkit predict`` applies them.

    Args:
        epochs: passes over the train images; DeiT's own are 300.
        batch_size: images a step, over all ranks; must be even with ``augment: deit``.
        lr: peak learning rate for 512 images a step, scaled by batch_size / 512 (DeiT, and DINO's authors for
            ImageNet; they took 5e-5 for iNaturalist and less for CIFAR: issues 31, 171 and 144 of their repository).
        warmup_epochs: from 1e-6, linearly; part of ``epochs``.
        weight_decay: of AdamW; not of biases, norms, position embeddings and tokens (DeiT).
        layer_decay: factor of the learning rate from each layer to the one before it; 1: none (DeiT), 0.65 to 0.75 is
            usual for BEiT and what came after it.
        augment: ``deit``: all of the above; ``crops``: random resized crops and flips alone, for data on which DeiT's
            is too strong, and for other than 1 or 3 channels.
        scale: share of an image's area that a train crop keeps, least and largest.
        precision: what training computes in; ``bf16``: autocast, for GPUs.
    """

    needs = frozenset({"labels", "test"})
    trains_classifier = True

    def __init__(
        self,
        epochs: int = 100,
        batch_size: int = 512,
        lr: float = 5e-4,
        warmup_epochs: int = 5,
        weight_decay: float = 0.05,
        layer_decay: float = 1.0,
        augment: Literal["deit", "crops"] = "deit",
        scale: tuple[float, float] = (0.08, 1.0),
        precision: Literal["float32", "bf16"] = "float32",
    ) -> None:
        check_length(epochs, batch_size)
        if augment == "deit" and batch_size % 2:
            raise UserError(f"batch_size: {batch_size} must be even with augment: deit, which mixes images in pairs")
        if not 0 < lr < math.inf:
            raise UserError(f"lr: {lr} must be above 0")
        if not 0 <= warmup_epochs < epochs:
            raise UserError(f"warmup_epochs: {warmup_epochs} must be at least 0 and fewer than the {epochs} epochs")
        if not 0 <= weight_decay < math.inf:
            raise UserError(f"weight_decay: {weight_decay} must be at least 0")
        if not 0 < layer_decay <= 1:
            raise UserError(f"layer_decay: {layer_decay} must be above 0 and at most 1")
        if not check_scale(scale):
            raise UserError(f"scale: {list(scale)} must be two shares of the area, 0 < least <= largest <= 1")
        self.epochs, self.batch_size, self.lr, self.warmup_epochs = epochs, batch_size, lr, warmup_epochs
        self.weight_decay, self.layer_decay = weight_decay, layer_decay
        self.augment, self.scale, self.precision = augment, scale, precision

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        words = {"top1": "top-1", "top5": "top-5", "train_loss": "training loss"}
        return f"fine-tuning {words.get(metric, metric)}"

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        if self.augment == "deit" and preprocess.channels not in (1, 3):
            raise UserError(
                f"augment: deit changes colours and needs images of 1 or 3 channels, not {preprocess.channels}; "
                "use crops"
            )
        train = data.split("train")
        if train is not None and (size := steps_of(train, self.batch_size)[1]) < least_images():
            raise UserError(
                f"batch_size: {self.batch_size} of {len(train)} train images are a step of {size}, and "
                f"{world_size()} process(es) need at least {least_images()}"
            )

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        self.check(frozen.backbone, frozen.preprocess, data)
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            raise RunError("fine-tuning needs a train and a test split")
        net, loss = self.train(frozen, train, class_count(train, test))
        asked = frozen.features(test, extract=net)
        if not len(asked.x) or asked.labels is None:
            raise RunError("no labelled test image could be read")
        accuracies = {f"top{top}": top_accuracy(asked.x, asked.labels, top) for top in (1, 5)}
        weights = {name: value.detach() for name, value in net.backbone.state_dict().items()}
        names = class_names(train, len(net.head.bias))
        kept = Classifier(net.head.weight.detach(), net.head.bias.detach(), names, backbone=weights)
        answers = top_answers(asked.x, asked.labels, asked.indices)
        return Metrics(accuracies | {"train_loss": loss}, answers=answers, classifier=kept)

    def train(self, frozen: Frozen, train: Images, classes: int) -> tuple[TrainedNet, float]:
        """The fine-tuned copy in eval mode, and the mean loss of its last epoch; the same on all ranks.

        Args:
            frozen: its backbone is copied.
            train: labelled images.
            classes: outputs of the classifier.

        Raises:
            RunError: if the loss is not finite, or too few images can be read.
        """
        seed = frozen.seed
        batches = TrainBatches(frozen, train, self.batch_size)
        lr = self.lr * batches.size / 512
        schedule = Schedule(self.epochs, batches.steps, lr, self.warmup_epochs, self.weight_decay, self.layer_decay)
        training = Training(TrainedNet(frozen.backbone, classes, seed), schedule, seed, _AUTOCAST[self.precision])
        augmentation = _AUGMENTATIONS[self.augment](frozen.preprocess, self.scale, classes, seed)
        loss = torch.zeros((), device=frozen.device)
        for epoch in range(self.epochs):
            loss = torch.zeros((), device=frozen.device)
            for step, (images, labels) in enumerate(batches.epoch(epoch, augmentation.view(epoch))):
                mixed, targets = augmentation.together(images, labels, epoch, step)
                loss += training.step(mixed, targets, epoch, step) / batches.steps
            loss = mean_over_ranks(loss)
            if not bool(torch.isfinite(loss)):
                raise RunError(
                    f"the loss of fine-tuning is not finite in epoch {epoch + 1} of {self.epochs}: "
                    f"use an lr below {self.lr:g}"
                )
        return training.finish(), float(loss)
