"""A backbone of given weights, by the names of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sslkit.engine.backbones import build_backbone
from sslkit.parts.backbone import Backbone
from sslkit.parts.weights import NetWeights
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_judging
from sslkit.recipe.overrides import overrides_from


def backbone_with(
    backbone: Mapping[str, Any], preprocess: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> Backbone:
    """A registered backbone with published weights, in eval mode, on the CPU and without gradients.

    Args:
        backbone: the recipe's section.
        preprocess: the recipe's section.
        weights: under the names of published files (timm's, torchvision's); all must fit.

    Raises:
        UserError: if it cannot be built, or they do not fit.
    """
    registry = load_registry(())
    by = load_judging(overrides_from({"backbone": backbone, "preprocess": preprocess}), registry)
    built = build_backbone(by.backbone, by.preprocess, by.seed)
    NetWeights(Path("the given weights"), "", weights, {}, own=False).into_backbone(built)
    return built.eval().requires_grad_(False)
