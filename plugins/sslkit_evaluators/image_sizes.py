"""Resizes of whole images, each an object that reaches worker processes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL.Image import Image, Resampling

from sslkit.parts import Bands, Picture


@dataclass(frozen=True)
class Within:
    """Shrinks an image so that it fits into a square; smaller ones stay as they are (Pillow's ``thumbnail``).

    Attributes:
        side: of the square in pixels.
        boxes: what to cut out first, by index: left, top, right and bottom in pixels; none: the whole image.
    """

    side: int
    boxes: tuple[tuple[float, ...], ...] = ()

    def __call__(self, image: Picture, index: int) -> Picture:
        if self.boxes:
            left, top, right, bottom = self.boxes[index]
            image = image.crop((left, top, right, bottom))
        return image.each(self._shrunk) if isinstance(image, Bands) else self._shrunk(image)

    def _shrunk(self, image: Image) -> Image:
        smaller = image.copy()
        smaller.thumbnail((self.side, self.side), Resampling.LANCZOS)
        return smaller


@dataclass(frozen=True)
class Square:
    """Resizes an image to a square whatever its shape, bicubic.

    Attributes:
        side: of the square in pixels.
    """

    side: int

    def __call__(self, image: Picture, index: int) -> Picture:
        return image.resize((self.side, self.side), Resampling.BICUBIC)
