"""What a linear classifier sees of a backbone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sslkit.errors import RunError
from sslkit.parts.backbone import Backbone, Tokens


@dataclass(frozen=True)
class FrozenFeature:
    """The feature of an image for a linear classifier (eval_linear.py of the reference).

    Attributes:
        backbone: a frozen one.
        blocks: how many last blocks' normed [CLS] tokens are joined; 1: the pooled feature.
        average_patches: also the mean of the last block's patch tokens, *interleaved* with the [CLS] token (stacked
            on the last axis, then flattened), as the reference has it.
    """

    backbone: Backbone
    blocks: int
    average_patches: bool

    def __call__(self, images: Tensor) -> Tensor:
        if self.average_patches:
            return interleaved(self.backbone(images, patches=True))
        if self.blocks == 1:
            pooled: Tensor = self.backbone(images).cls
            return pooled
        return torch.cat([tokens.cls for tokens in self.backbone.intermediate(images, self.blocks)], dim=1)


def interleaved(tokens: Tokens) -> Tensor:
    """``[B, 2D]``: the first number of the [CLS] token, the first of the mean patch token, the second of ..."""
    if tokens.patches is None:
        raise RunError("the backbone gave no patch tokens although they were asked for")
    return torch.stack([tokens.cls, tokens.patches.mean(dim=1)], dim=-1).flatten(1)
