"""Builds a run's parts from a recipe: the only place that knows how parts depend on each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.data.shrunk import ShrunkImages
from sslkit.engine.batchnorm import synchronise
from sslkit.engine.build_nets import build_student, build_teacher
from sslkit.engine.cache import cached
from sslkit.engine.construct import construct
from sslkit.engine.distributed import wrap
from sslkit.engine.guard import Guard
from sslkit.engine.hooks import Acting
from sslkit.engine.network import Network
from sslkit.engine.param_groups import Rates, parameter_groups
from sslkit.engine.precision import Precision
from sslkit.engine.promises import check_created, check_split
from sslkit.engine.run import Run
from sslkit.errors import UserError, nearest
from sslkit.evaluation.borrow import in_eval_mode
from sslkit.parts.augmenter import Augmenter
from sslkit.parts.backbone import Backbone
from sslkit.parts.clip import Clip
from sslkit.parts.collectives import world_size
from sslkit.parts.dataset import Dataset, Images
from sslkit.parts.evaluator import Evaluator
from sslkit.parts.head import Head
from sslkit.parts.loss import Loss
from sslkit.parts.optimizer import OptimizerPart
from sslkit.parts.paths import home_path
from sslkit.parts.randomness import isolated
from sslkit.parts.teacher import TeacherRule
from sslkit.parts.watcher import Watcher
from sslkit.recipe.model import PartSpec, Recipe

log = logging.getLogger("sslkit")


@dataclass(frozen=True)
class Length:
    """How long a run is, in optimizer steps."""

    steps_per_epoch: int
    total: int


def dataset(spec: PartSpec) -> Dataset:
    """A data set of the recipe."""
    return cast(Dataset, construct(spec))


def training_images(recipe: Recipe, data: Dataset) -> Images:
    """The images of the recipe's data to train on."""
    images = data.split("train")
    check_split(recipe.data, images)
    if images is None or len(images) == 0:
        raise UserError(f"{recipe.data.where}: the data set {recipe.data.name!r} has no images to train on")
    return images


def prepared_images(recipe: Recipe, images: Images) -> Images:
    """The images as training reads them: from the recipe's cache, or shrunk, if it says so."""
    train, channels, values = recipe.train, recipe.preprocess.channels, recipe.preprocess.values
    if train.cache is not None:
        side = min(train.cache_side, train.short_side or train.cache_side)
        return cached(images, home_path(train.cache), side, channels, train.workers, values)
    return images if train.short_side is None else ShrunkImages(images, train.short_side, channels, values)


def evaluators(recipe: Recipe) -> dict[str, Evaluator]:
    """The recipe's evaluators, by id."""
    return {key: cast(Evaluator, construct(spec.part)) for key, spec in recipe.evaluate.items()}


def watchers(recipe: Recipe) -> dict[str, Watcher]:
    """The recipe's watchers, by id."""
    return {key: cast(Watcher, construct(spec)) for key, spec in recipe.watch.items()}


def length(recipe: Recipe, images: int) -> Length:
    """Steps of a run over ``images`` images.

    Raises:
        UserError: if a batch is larger than the data, or cannot be shared out evenly.
    """
    train = recipe.train
    place = recipe.place("train.batch_size")
    if train.batch_size > images:
        raise UserError(
            f"{place}: {train.batch_size} is more than the {images} images of {recipe.data.name!r}; "
            f"use at most {images}"
        )
    shares = world_size() * train.micro_batches
    if train.batch_size % shares:
        raise UserError(
            f"{place}: {train.batch_size} cannot be shared by {world_size()} processes x "
            f"{train.micro_batches} micro-batches; use a multiple of {shares}"
        )
    steps = images // train.batch_size
    return Length(steps, steps * train.epochs)


def build_run(recipe: Recipe, steps: Length, classes: int | None, device: torch.device) -> Run:
    """Everything that the training step works with.

    Raises:
        UserError: if a part refuses its options, or parts do not fit together.
    """
    augmenter = cast(Augmenter, construct(recipe.augment, {"channels": recipe.preprocess.channels}))
    student = cast(Network, synchronise(build_student(recipe, classes), device)).to(device)
    _check_sizes(recipe, augmenter, student.backbone)
    rule = cast(TeacherRule, construct(recipe.teacher)) if recipe.teacher else None
    teacher = build_teacher(recipe, rule, student, classes, device)
    losses = _build_losses(recipe, student, teacher, augmenter, classes, device)
    part = cast(OptimizerPart, construct(recipe.optimizer))
    optimizer = part.create(parameter_groups(student, recipe.param_groups))
    check_created(recipe.optimizer, optimizer)
    per = recipe.train.lr_per_images
    precision = Precision(recipe.train.precision, device)
    lr = part.lr.scaled(recipe.train.batch_size / per) if per else part.lr
    return Run(
        seed=recipe.seed,
        device=device,
        augmenter=augmenter,
        preprocess=recipe.preprocess,
        student=student,
        trained=wrap(student, device),
        teacher=teacher,
        rule=rule,
        losses=losses,
        weights={key: spec.weight for key, spec in recipe.losses.items()},
        optimizer=optimizer,
        rates=Rates(lr, part.weight_decay, steps.total, steps.steps_per_epoch),
        clip=cast(Clip, construct(recipe.clip)) if recipe.clip else None,
        precision=precision,
        guard=Guard(scaled=precision.name == "fp16"),
        acting=Acting(_acting_parts(recipe, student, rule, losses)),
        micro_batches=recipe.train.micro_batches,
    )


def _build_losses(
    recipe: Recipe,
    student: Network,
    teacher: Network | None,
    augmenter: Augmenter,
    classes: int | None,
    device: torch.device,
) -> dict[str, Loss]:
    context = {
        "out_dim": student.head.out_dim if student.head else None,
        "teacher_out_dim": teacher.head.out_dim if teacher is not None and teacher.head else None,
        "views": augmenter.views,
        "prediction_dim": student.predictor.out_dim if student.predictor else None,
        # a function, because a loss that kept the module would own its weights
        "predict": partial(_predict, student.predictor) if student.predictor else None,
    }
    losses: dict[str, Loss] = {}
    for key, spec in recipe.losses.items():
        with isolated("init", recipe.seed, f"losses.{key}"):
            losses[key] = cast(Loss, construct(spec.part, context)).to(device)
        _check_needs(spec.part, losses[key].needs, student, teacher, classes)
        learned = next((name for name, _ in losses[key].named_parameters()), None)
        if learned:
            raise UserError(
                f"{spec.part.where}: the loss {spec.part.name!r} has the parameter {learned!r}, which nothing would "
                "train: parameters belong into a head or predictor, and a loss keeps buffers"
            )
    _check_read(recipe, student, losses)
    _tell_statistics(recipe, student, losses)
    return losses


def _predict(predictor: Head, projections: Tensor) -> Tensor:
    """What the predictor says as it stands, which leaves its running statistics alone."""
    with in_eval_mode(predictor), torch.no_grad():
        predictions: Tensor = predictor(projections)
    return predictions


def _check_needs(
    spec: PartSpec, needs: frozenset[str], student: Network, teacher: Network | None, classes: int | None
) -> None:
    """Whether what a loss reads is there."""
    there = {
        "features": (True, ""),
        "projections": (student.head is not None, "the recipe has no head: add head: {name: ...}"),
        "predictions": (student.predictor is not None, "the recipe has no predictor: add predictor: {name: ...}"),
        "teacher": (teacher is not None, "the recipe has no teacher: add teacher: {name: ...}"),
        "labels": (classes is not None, "the data set has none"),
    }
    for need in sorted(needs):
        if need not in there:
            raise UserError(f"the loss {spec.name!r} needs {need!r}, which does not exist; {nearest(need, there)}")
        present, otherwise = there[need]
        if not present:
            raise UserError(f"{spec.where}: the loss {spec.name!r} needs {need}, and {otherwise}")


def _check_read(recipe: Recipe, student: Network, losses: Mapping[str, Loss]) -> None:
    """A head that no loss reads would get no gradient, silently on one rank and as a crash on several."""
    read = frozenset().union(*(loss.needs for loss in losses.values()))
    for slot, part, readers in (
        (recipe.predictor, student.predictor, {"predictions"}),
        (recipe.head, student.head, {"projections", "predictions"}),
    ):
        if slot is not None and part is not None and not read & readers:
            raise UserError(f"{slot.where}: no loss reads the outputs of {slot.name!r}; leave it out, or add a loss")


def _tell_statistics(recipe: Recipe, student: Network, losses: Mapping[str, Loss]) -> None:
    named = [*whole_batch_losses(losses), *batch_norms(student)]
    if recipe.train.micro_batches > 1 and named:
        log.warning(
            "train.micro_batches %d is not the big batch for what looks at the whole batch: %s",
            recipe.train.micro_batches, ", ".join(named),
        )  # fmt: skip


def whole_batch_losses(losses: Mapping[str, Loss]) -> list[str]:
    """The ids of the losses whose value is more than a mean over samples."""
    return [key for key, loss in losses.items() if loss.batch_statistics]


def batch_norms(net: nn.Module) -> list[str]:
    """``BatchNorm``, if the net has any."""
    return ["BatchNorm"] if any(isinstance(module, _BatchNorm) for module in net.modules()) else []


def _check_sizes(recipe: Recipe, augmenter: Augmenter, backbone: Backbone) -> None:
    for size, key in [(recipe.preprocess.size, "preprocess.size")] + [
        (v.size, f"view {v.id}") for v in augmenter.views
    ]:
        if size % backbone.stride:
            raise UserError(
                f"{recipe.backbone.where}: the patch of {backbone.stride} pixels does not divide {key} = {size}; "
                f"use {size // backbone.stride * backbone.stride or backbone.stride} or another patch size"
            )


def _acting_parts(
    recipe: Recipe, student: Network, rule: TeacherRule | None, losses: Mapping[str, Loss]
) -> dict[str, object]:
    parts: dict[str, object] = {f"the backbone {recipe.backbone.name!r}": student.backbone}
    if recipe.head and student.head:
        parts[f"the head {recipe.head.name!r}"] = student.head
    if recipe.predictor and student.predictor:
        parts[f"the predictor {recipe.predictor.name!r}"] = student.predictor
    if recipe.teacher and rule:
        parts[f"the teacher rule {recipe.teacher.name!r}"] = rule
    return parts | {f"the loss {recipe.losses[key].part.name!r} ({key})": loss for key, loss in losses.items()}
