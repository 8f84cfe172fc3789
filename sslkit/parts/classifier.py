"""A classifier that an evaluator trained, to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sslkit.parts.backbone import Backbone
from sslkit.parts.frozen_feature import FrozenFeature


@dataclass(frozen=True)
class Classifier:
    """A linear layer on a backbone's features; an evaluator that gives one in its ``Metrics`` has it saved.

    ``sslkit predict`` applies it to other images.

    Attributes:
        weight: ``[C, D]``.
        bias: ``[C]``.
        classes: the C names of the classes, in the order of their labels.
        blocks: see :class:`FrozenFeature`.
        average_patches: see :class:`FrozenFeature`.
        mean: ``[D]``, subtracted from features first; None: nothing is.
        std: ``[D]``, features are divided by it then; None: by nothing.
        backbone: the weights of the backbone, by the part's own names, if it was trained too; None: it is as it was.

    Raises:
        ValueError: if the shapes or the number of names do not go together.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    blocks: int = 1
    average_patches: bool = False
    mean: Tensor | None = None
    std: Tensor | None = None
    backbone: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.weight.ndim != 2:
            raise ValueError(f"weight must be [classes, features], not {list(self.weight.shape)}")
        count, width = self.weight.shape
        if self.bias.shape != (count,) or len(self.classes) != count:
            raise ValueError(f"{count} classes need as many biases and names: {len(self.bias)}, {len(self.classes)}")
        if any(part is not None and part.shape != (width,) for part in (self.mean, self.std)):
            raise ValueError(f"mean and std must be of {width} values, as the features")

    def logits(self, backbone: Backbone, images: Tensor) -> Tensor:
        """``[B, C]`` of normalised images ``[B, channels, H, W]``; everything on one device."""
        x = FrozenFeature(backbone, self.blocks, self.average_patches)(images)
        if self.mean is not None:
            x = x - self.mean.to(x.device)
        if self.std is not None:
            x = x / self.std.to(x.device)
        return F.linear(x, self.weight.to(x), self.bias.to(x))
