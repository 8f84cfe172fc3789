"""Features of an image at several sizes, averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import Backbone, whole_patches

#: The scales of the reference DINO (utils.py, multi_scale).
SCALES = (1.0, 0.5**0.5, 0.5)


@dataclass(frozen=True)
class PooledFeature:
    """Pooled features of images of any size: ``[B, C, H, W] -> [B, D]``, of unit length where there are several scales.

    Attributes:
        backbone: a frozen one.
        scales: factors of the sides; features of all are averaged.
    """

    backbone: Backbone
    scales: tuple[float, ...] = (1.0,)

    def __call__(self, images: Tensor) -> Tensor:
        features = [self._pooled(images, scale) for scale in self.scales]
        if len(features) == 1:
            return features[0]
        return F.normalize(torch.stack(features).mean(dim=0), dim=1)

    def _pooled(self, images: Tensor, scale: float) -> Tensor:
        if scale != 1:
            images = F.interpolate(images, scale_factor=scale, mode="bilinear")
        pooled: Tensor = self.backbone(whole_patches(images, self.backbone.stride)).cls
        return pooled
