"""A convolutional stem for vision transformers."""

from __future__ import annotations

from torch import nn

from sslkit.errors import UserError


def conv_stem(channels: int, dim: int, patch_size: int) -> nn.Sequential:
    """3x3 convolutions of stride 2 down to one pixel a patch: ``[B, channels, H, W] -> [B, dim, H/p, W/p]``.

    Xiao et al. 2021, "Early convolutions help transformers see better", section 4: the width doubles with every
    halving, each convolution is followed by BatchNorm and ReLU, and a 1x1 convolution ends the stem.

    Args:
        channels: of the images.
        dim: width of the tokens.
        patch_size: p, a power of 2 above 1.

    Raises:
        UserError: if ``patch_size`` is none.
    """
    halvings = patch_size.bit_length() - 1
    if patch_size < 2 or patch_size != 2**halvings:
        raise UserError(f"patch_size is {patch_size}: the stem 'conv' needs a power of 2 of at least 2")
    layers: list[nn.Module] = []
    for left in reversed(range(halvings)):
        width = max(dim // 2**left, 8)
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, dim, 1))
