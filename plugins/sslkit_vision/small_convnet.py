"""A small convolutional network that learns within a minute on a CPU."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts import Backbone, Tokens


class SmallConvNet(Backbone):
    """Stages of 3x3 convolution, BatchNorm and ReLU, each at half the resolution of the one before; then the average.

    Made for tiny images and quick runs: the quickstart's backbone. Convolutions keep torch's default initial
    weights. Images of any size go; where the last map is one pixel, a training batch needs two images or more,
    because BatchNorm has nothing to compare within one value.

    Args:
        channels: of the images.
        image_size: not used: a convolutional network takes any size.
        widths: channels of the stages; the last one is the width of the features.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"patches"})

    def __init__(self, channels: int, image_size: int, widths: tuple[int, ...] = (32, 64, 128, 128)) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UserError(f"widths is {list(widths)}: it must be a list of numbers of 1 or more, such as [32, 64]")
        layers: list[nn.Module] = []
        for stage, width in enumerate(widths):
            # padding keeps a map of one pixel at one pixel: any image size goes
            stride = 2 if stage else 1
            layers += [nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.ReLU()]
            channels = width
        self.net = nn.Sequential(*layers)
        self.embed_dim = channels

    def source(self) -> str:
        """torch's modules, whose output is the average."""
        layers = ", ".join(f"torch.nn.{layer}" for layer in self.net)
        named = f"net=torch.nn.Sequential({layers}), pool=torch.nn.AdaptiveAvgPool2d(1), flat=torch.nn.Flatten()"
        return f"torch.nn.Sequential(collections.OrderedDict({named}))"

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """The average ``[B, D]`` over the last map and, if asked for, its pixels ``[B, N, D]``."""
        pixels = self.net(images).flatten(2)
        return Tokens(cls=pixels.mean(dim=2), patches=pixels.transpose(1, 2) if patches else None)
