"""Images out of nothing, for benchmarks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sslkit.errors import UserError
from sslkit.parts import Dataset, Images, Split

#: Side of the random pattern that is enlarged to an image.
_PATTERN = 8


class SyntheticImages(Images):
    """Generated colour images: a smooth pattern of the class, and one of the image's own.

    Args:
        count: how many.
        size: side in pixels.
        classes: number of classes; labels take turns.
        key: what the patterns are drawn from, besides label and index.
    """

    def __init__(self, count: int, size: int, classes: int, key: tuple[int, int]) -> None:
        self._count, self._size, self._key = count, size, key
        self.classes = tuple(f"class{label}" for label in range(classes))

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> Image.Image:
        """Image ``index``, RGB; the same pixels at every call."""
        if not 0 <= index < self._count:
            raise IndexError(f"image {index} of {self._count}")
        seed, split = self._key
        common = np.random.default_rng([seed, 2, self.label(index)]).random((_PATTERN, _PATTERN, 3))
        own = np.random.default_rng([seed, split, index]).random((_PATTERN, _PATTERN, 3))
        pattern = np.rint(255 * (0.5 * common + 0.5 * own)).astype(np.uint8)
        return Image.fromarray(pattern).resize((self._size, self._size), Image.Resampling.BICUBIC)

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
    """

    def __init__(self, images: int = 1024, size: int = 256, classes: int = 10, seed: int = 0) -> None:
        for key, value, least in (("images", images, 1), ("size", size, 1), ("classes", classes, 1), ("seed", seed, 0)):
            if value < least:
                raise UserError(f"{key} is {value}: it must be {least} or more")
        self._splits = {
            "train": SyntheticImages(images, size, classes, (seed, 0)),
            "test": SyntheticImages(max(images // 4, classes), size, classes, (seed, 1)),
        }

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]
