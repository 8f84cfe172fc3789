"""A backbone and a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sslkit
from sslkit.parts import Backbone, Head, Position, Tokens


class Pooled(Backbone):
    """One convolution and the average.

    Args:
        channels: of the images.
        image_size: not used.
        width: of the features.
    """

    def __init__(self, channels: int, image_size: int, width: int = 8) -> None:
        super().__init__()
        self.embed_dim = width
        self.conv = nn.Conv2d(channels, width, 3, padding=1)

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """Features of images."""
        return Tokens(self.conv(images).relu().mean((2, 3)))


class Affine(Head):
    """One linear layer, whose weights are kept short.

    Args:
        in_dim: width of the features.
        out_dim: width of the projections.
    """

    def __init__(self, in_dim: int, out_dim: int = 4) -> None:
        super().__init__()
        self.out_dim = out_dim
        self.linear = nn.Linear(in_dim, out_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Projections of features."""
        return self.linear(features)

    @sslkit.hookimpl
    def before_step(self, at: Position) -> None:
        """Leave the bias alone in the first step."""
        if at.step == 0:
            self.linear.bias.grad = None

    @sslkit.hookimpl
    def after_step(self) -> None:
        """Bound the weights."""
        with torch.no_grad():
            self.linear.weight.clamp_(-1, 1)
