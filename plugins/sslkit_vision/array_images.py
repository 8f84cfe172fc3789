"""Images that are held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sslkit.parts import Images


class ArrayImages(Images):
    """Labelled images in one array.

    Args:
        pixels: uint8 ``[N, H, W]`` (gray) or ``[N, H, W, 3]``.
        labels: ``[N]`` integers.
        classes: their names.
    """

    def __init__(self, pixels: np.ndarray, labels: Sequence[int] | np.ndarray, classes: tuple[str, ...]) -> None:
        self._pixels, self._labels, self.classes = pixels, np.asarray(labels), classes

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, index: int) -> Image.Image:
        """Image ``index``, of mode ``L`` or ``RGB``."""
        return Image.fromarray(self._pixels[index])

    def label(self, index: int) -> int:
        """The label of image ``index``."""
        return int(self._labels[index])
