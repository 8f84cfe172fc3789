"""A data set and an augmenter."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Augmenter, Dataset, Draws, Images, Picture, Split, ViewSpec


class StripeImages(Images):
    """Stripes whose direction is the class."""

    classes = ("across", "down")

    def __init__(self, count: int, salt: int) -> None:
        self.count, self.salt = count, salt

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Tensor:
        """Stripes in noise."""
        noise = np.random.default_rng([self.salt, index]).integers(0, 60, (3, 16, 16))
        stripes = 150 * (np.indices((16, 16))[index % 2] // 2 % 2)
        return torch.from_numpy((stripes + noise).astype(np.uint8))

    def label(self, index: int) -> int | None:
        """The direction."""
        return index % 2


class Stripes(Dataset):
    """Striped images, made up as they are asked for.

    Args:
        count: images to train on.
    """

    def __init__(self, count: int = 16) -> None:
        if count < 2:
            raise UserError(f"count is {count}: it must be 2 or more")
        self.count = count

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return StripeImages(self.count if which == "train" else 8, which == "test")


class Flips(Augmenter):
    """Two views of a square, each mirrored by chance.

    Args:
        channels: of the images.
        size: side of a view in pixels.
    """

    def __init__(self, channels: int, size: int = 16) -> None:
        self.views = (ViewSpec("one", size), ViewSpec("other", size))

    def draw(self, view: ViewSpec, width: int, height: int, generator: np.random.Generator) -> Draws:
        """Whether to mirror."""
        return {"flip": bool(generator.random() < 0.5)}

    def render(self, image: Picture, view: ViewSpec, draws: Draws) -> Tensor:
        """The image, resized and perhaps mirrored."""
        pixels = torch.from_numpy(np.array(image.resize((view.size, view.size)))).permute(2, 0, 1)
        return pixels.flip(-1) if draws["flip"] else pixels.contiguous()
