"""Images out of nothing, for benchmarks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Bands, Dataset, Images, Split

#: Side of the random pattern that is enlarged to an image.
_PATTERN = 8


class SyntheticImages(Images):
    """Generated images: a smooth pattern of the class, and one of the image's own.

    Args:
        count: how many.
        size: side in pixels.
        classes: number of classes; labels take turns.
        key: what the patterns are drawn from, besides label and index.
        channels: 3: colour; or any other number.
    """

    def __init__(self, count: int, size: int, classes: int, key: tuple[int, int], channels: int = 3) -> None:
        self._count, self._size, self._key, self._channels = count, size, key, channels
        self.classes = tuple(f"class{label}" for label in range(classes))

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> Image.Image | Tensor:
        """Image ``index``, RGB or a tensor of other channels; the same pixels at every call."""
        if not 0 <= index < self._count:
            raise IndexError(f"image {index} of {self._count}")
        seed, split = self._key
        shape, size = (_PATTERN, _PATTERN, self._channels), (self._size, self._size)
        common = np.random.default_rng([seed, 2, self.label(index)]).random(shape)
        own = np.random.default_rng([seed, split, index]).random(shape)
        pattern = np.rint(255 * (0.5 * common + 0.5 * own)).astype(np.uint8)
        if self._channels == 3:
            return Image.fromarray(pattern).resize(size, Image.Resampling.BICUBIC)
        bands = Bands.from_array(pattern, "last").resize(size, Image.Resampling.BICUBIC)
        return torch.from_numpy(bands.array())

    def label(self, index: int) -> int:
        """The label of image ``index``."""
        return index % len(self.classes or ())


class Synthetic(Dataset):
    """Generated images for benchmarks and dry runs: no files, no decoding; a function of the seed alone.

    Args:
        images: training images; a quarter as many (at least one a class) are for testing.
        size: side of the square images in pixels.
        classes: number of classes.
        seed: what the patterns are drawn from.
        channels: of the images: 3 is RGB; set ``preprocess.channels`` to the same.
    """

    def __init__(
        self, images: int = 1024, size: int = 256, classes: int = 10, seed: int = 0, channels: int = 3
    ) -> None:
        counts = {"images": images, "size": size, "classes": classes, "channels": channels, "seed": seed}
        for key, value in counts.items():
            least = 0 if key == "seed" else 1
            if value < least:
                raise UserError(f"{key} is {value}: it must be {least} or more")
        self._splits = {
            "train": SyntheticImages(images, size, classes, (seed, 0), channels),
            "test": SyntheticImages(max(images // 4, classes), size, classes, (seed, 1), channels),
        }

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]
