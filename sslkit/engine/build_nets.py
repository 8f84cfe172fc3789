"""Builds student and teacher from a recipe."""

from __future__ import annotations

import copy
import logging
from typing import cast

import torch

from sslkit.engine.architectures import fitting
from sslkit.engine.backbones import build_backbone
from sslkit.engine.batchnorm import synchronise
from sslkit.engine.construct import construct
from sslkit.engine.network import Network, teacher_mode
from sslkit.engine.promises import check_start
from sslkit.errors import UserError
from sslkit.parts.head import Head
from sslkit.parts.randomness import isolated
from sslkit.parts.teacher import TeacherRule
from sslkit.parts.weights import WeightsMisfit, dropped_names, net_weights
from sslkit.plugins.manager import load_registry
from sslkit.recipe.dump import plain
from sslkit.recipe.model import PartSpec, Recipe
from sslkit.recipe.overrides import overrides_from

log = logging.getLogger("sslkit")


def build_student(recipe: Recipe, classes: int | None) -> Network:
    """Backbone, head and predictor; each slot's initial weights depend on the seed and the slot alone."""
    backbone = build_backbone(recipe.backbone, recipe.preprocess, recipe.seed)
    head = _build_head(recipe, "head", recipe.head, backbone.embed_dim, classes)
    predictor = _build_head(recipe, "predictor", recipe.predictor, head.out_dim if head else None, classes)
    return Network(backbone, head, predictor, recipe.train.view_batching)


def build_teacher(
    recipe: Recipe, rule: TeacherRule | None, student: Network, classes: int | None, device: torch.device
) -> Network | None:
    """The teacher as its rule starts it: of the student's architecture or its own, never with the predictor.

    Raises:
        UserError: if the recipe gives an architecture of its own to a teacher that must have the student's, or the
            rule's file of weights does not fit.
    """
    own = recipe.teacher_backbone or recipe.teacher_head
    if rule is None or recipe.teacher is None:
        if own:
            raise UserError(f"{own.where}: the recipe has no teacher; add teacher: {{name: ...}}")
        return None
    if own and rule.learns:
        raise UserError(
            f"{own.where}: the teacher rule {recipe.teacher.name!r} follows the student weight by weight, so its "
            "teacher has the student's architecture; leave this section out, or take teacher: fixed"
        )
    start = _own_architecture(recipe, student, classes, device) if own else student
    # before DDP wraps the student
    teacher = rule.start(Network(start.backbone, start.head, None, recipe.train.view_batching))
    check_start(recipe.teacher, teacher)
    if teacher is None:
        return None
    teacher = cast(Network, teacher)
    if rule.weights is not None:
        _load(teacher, rule.weights, recipe)
    teacher_mode(teacher.to(device), own_statistics=rule.learns)
    return teacher


def _own_architecture(recipe: Recipe, student: Network, classes: int | None, device: torch.device) -> Network:
    backbone = copy.deepcopy(student.backbone)
    if recipe.teacher_backbone is not None:
        backbone = build_backbone(recipe.teacher_backbone, recipe.preprocess, recipe.seed, "teacher_backbone")
    spec = recipe.teacher_head or recipe.head
    head = _build_head(recipe, "teacher_head", spec, backbone.embed_dim, classes)
    return cast(Network, synchronise(Network(backbone, head, None, recipe.train.view_batching), device))


def _load(teacher: Network, file: str, recipe: Recipe) -> None:
    spec = cast(PartSpec, recipe.teacher)
    try:
        weights = net_weights(file)
        try:
            dropped = weights.into_backbone(teacher.backbone)
        except WeightsMisfit as error:
            there = {"backbone": recipe.teacher_backbone or recipe.backbone, "preprocess": recipe.preprocess}
            given = overrides_from({section: plain(value) for section, value in there.items()})
            hint = fitting(weights, given, load_registry(), "teacher_backbone")
            raise UserError(f"{error}{hint}") from error
        if teacher.head is not None:
            weights.into_head(teacher.head)
    except UserError as error:
        raise UserError(spec.located(f"weights: {error}")) from error
    if dropped:
        log.info("%s", dropped_names(file, dropped))


def _build_head(
    recipe: Recipe, slot: str, spec: PartSpec | None, in_dim: int | None, classes: int | None
) -> Head | None:
    if spec is None:
        return None
    with isolated("init", recipe.seed, slot):
        return cast(Head, construct(spec, {"in_dim": in_dim, "classes": classes}))
