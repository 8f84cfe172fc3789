"""Builds a backbone from a recipe's section."""

from __future__ import annotations

from typing import cast

from sslkit.engine.construct import construct
from sslkit.parts.backbone import Backbone
from sslkit.parts.preprocess import Preprocess
from sslkit.parts.randomness import isolated
from sslkit.recipe.model import PartSpec


def build_backbone(spec: PartSpec, preprocess: Preprocess, seed: int, slot: str = "backbone") -> Backbone:
    """A backbone with its initial weights, which depend on the seed and the slot alone."""
    context = {"channels": preprocess.channels, "image_size": preprocess.size}
    with isolated("init", seed, slot):
        return cast(Backbone, construct(spec, context))
