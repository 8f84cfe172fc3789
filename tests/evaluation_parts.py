"""Small real parts for the tests of evaluation: images, a data set, backbones."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sslkit.evaluation.frozen import FrozenBackbone
from sslkit.parts import Backbone, Dataset, Images, Preprocess, Split, Tokens

GREY = Preprocess(size=8, mean=(0.5,), std=(0.25,), channels=1)


class Patterns(Images):
    """Noisy grey stripes whose direction and width is the class; pixels depend on the index alone.

    Args:
        length: how many.
        salt: another split has another.
        labelled: whether labels are given.
        unreadable: indices that raise OSError.
        classes: how many classes.
        noise: standard deviation of the noise.
    """

    def __init__(
        self,
        length: int,
        salt: int = 0,
        *,
        labelled: bool = True,
        unreadable: tuple[int, ...] = (),
        classes: int = 4,
        noise: float = 40.0,
    ) -> None:
        self.length, self.salt, self.unreadable, self.noise = length, salt, unreadable, noise
        self.labelled, self.class_count = labelled, classes
        self.classes = tuple(f"class {number}" for number in range(classes)) if labelled else None

    def __len__(self) -> int:
        return self.length

    def read(self, index: int) -> Tensor:
        if index in self.unreadable:
            raise OSError("the disk is tired")
        draw = np.random.default_rng((self.salt, index))
        kind = index % self.class_count
        grid = np.indices((9, 10))[kind % 2]
        stripes = 128 + 100 * np.sin(grid * (0.8 + kind // 2) + 0.3)
        return torch.from_numpy(np.clip(stripes + draw.normal(0, self.noise, stripes.shape), 0, 255).astype(np.uint8))[
            None
        ]

    def label(self, index: int) -> int | None:
        return index % self.class_count if self.labelled else None

    def name(self, index: int) -> str:
        return f"pattern-{self.salt}-{index}"


class Colours(Images):
    """A few PIL images of different modes and sizes, without labels."""

    def __len__(self) -> int:
        return 5

    def read(self, index: int) -> Image.Image:
        draw = np.random.default_rng(index)
        pixels = draw.integers(0, 256, (30 + 7 * index, 50 - 5 * index, 3), dtype=np.uint8)
        return Image.fromarray(pixels).convert(["RGB", "L", "RGBA", "P", "CMYK"][index])


class Splits(Dataset):
    """A data set of given splits, made anew every time it is asked, as image folders may be."""

    def __init__(self, train: Images, test: Images | None = None) -> None:
        self.train, self.test = train, test

    def split(self, which: Split) -> Images | None:
        return self.train if which == "train" else self.test


class TinyConv(Backbone):
    """A convolution with BatchNorm and dropout, so that the training mode shows in the features."""

    def __init__(self, channels: int = 1, width: int = 12) -> None:
        super().__init__()
        self.embed_dim = width
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.Dropout(0.5), nn.ReLU())

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        return Tokens(self.body(images).mean(dim=(2, 3)))


def tiny_conv(seed: int = 0, width: int = 12) -> TinyConv:
    """A :class:`TinyConv` of weights that depend on the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = TinyConv(width=width)
        # statistics that are not the initial ones
        net(torch.randn(16, 1, 8, 8))
    return net


def freeze(
    net: Backbone, preprocess: Preprocess = GREY, *, batch_size: int = 16, workers: int = 0, seed: int = 0
) -> FrozenBackbone:
    """The net on the CPU in float32."""
    return FrozenBackbone(
        net, preprocess, device=torch.device("cpu"), seed=seed, batch_size=batch_size, workers=workers
    )


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """An image file of these pixels."""
    Image.fromarray(pixels).save(path)
    return path


class ColourPatches(Backbone):
    """Sees nothing but mean colours: patch tokens of 4 x 4 pixels, their mean as [CLS]; two heads, one of which
    attends to bright patches, the other to dark ones."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"patches", "attention"})
    stride = 4
    embed_dim = 3

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        tokens = torch.nn.functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2)
        return Tokens(tokens.mean(dim=1), tokens if patches else None)

    def attention(self, images: Tensor) -> Tensor:
        bright = self(images, patches=True).patches.mean(dim=2)
        scores = torch.stack([bright * 3, -bright * 3], dim=1)
        row = torch.cat([torch.zeros(*scores.shape[:2], 1), scores], dim=2).softmax(dim=2)
        return row[:, :, None].expand(-1, -1, row.shape[2], -1)


#: Colours as they are: 0 to 1.
PLAIN = Preprocess(size=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class NoImages(Dataset):
    """For evaluators that bring their own: asking for a split fails."""

    def split(self, which: Split) -> Images | None:
        raise AssertionError(f"nobody should ask for {which}")


def write_plain(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (12, 8)) -> Path:
    """An image file of one colour, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, quality=100)
    return path
