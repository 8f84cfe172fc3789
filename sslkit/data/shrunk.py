"""Images that are shrunk as they are read: large photographs cost what is left of them, and not what they were."""

from __future__ import annotations

import torch
from PIL.Image import Image, Resampling
from torch import Tensor

from sslkit.data.reading import read_image
from sslkit.parts.bands import Bands, Picture
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import DEFAULT_VALUES, Values

#: A JPEG is decoded at a half, quarter or eighth if what is left is at least so many times as large as what is wanted:
#: Pillow's own measure of what nobody sees (``reducing_gap`` of its thumbnails).
_GAP = 2


class ShrunkImages(Images):
    """Images of a data set, decoded, those with a larger short side shrunk to it.

    Args:
        source: the data set's.
        side: the short side in pixels.
        channels: that images are turned into.
        values: how their values become 8 bits.
    """

    def __init__(self, source: Images, side: int, channels: int, values: Values = DEFAULT_VALUES) -> None:
        self.classes, self._source, self._side, self._channels = source.classes, source, side, channels
        self._values = values

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Image | Tensor:
        """See :class:`sslkit.parts.Images`.

        Raises:
            UnreadableImage: see :func:`sslkit.data.reading.read_image`.
        """
        image = read_shrunk(self._source, index, self._channels, self._side, self._values)
        return torch.from_numpy(image.array()) if isinstance(image, Bands) else image

    def label(self, index: int) -> int | None:
        """See :class:`sslkit.parts.Images`."""
        return self._source.label(index)

    def name(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return self._source.name(index)

    def origin(self, index: int) -> tuple[Images, int]:
        """See :class:`sslkit.parts.Images`."""
        return self._source.origin(index)


def read_shrunk(images: Images, index: int, channels: int, side: int, values: Values = DEFAULT_VALUES) -> Picture:
    """An image as :func:`sslkit.data.reading.read_image` gives it, with a short side of at most ``side`` pixels."""
    image = read_image(images, index, channels, at_least=_GAP * side, values=values)
    short = min(image.size)
    if short <= side:
        return image
    width, height = (max(1, round(length * side / short)) for length in image.size)
    return image.resize((width, height), Resampling.BICUBIC)
