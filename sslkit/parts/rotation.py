"""Rotation of a whole image, and what its corners show."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import PIL.Image
from PIL import ImageStat
from PIL.Image import Image, Resampling

from sslkit.parts.bands import Bands, Picture

#: What a rotated image shows beyond its edges.
Fill = Literal["black", "edge", "mean"]

#: Pixels that a bicubic filter reaches over its place.
_REACH = 2


def rotated(image: Picture, degrees: float, resample: Resampling, fill: Fill = "black") -> Picture:
    """Turn an image counter-clockwise about its centre; it keeps its size.

    Args:
        image: of mode RGB or L, or bands.
        degrees: how far.
        resample: Pillow's filter.
        fill: of the corners that come into view: ``black``; ``edge``: the image's outermost pixels, continued;
            ``mean``: the mean colour of the image.
    """
    if isinstance(image, Bands):
        return image.each(lambda band: _rotated(band, degrees, resample, fill))
    return _rotated(image, degrees, resample, fill)


def _rotated(image: Image, degrees: float, resample: Resampling, fill: Fill) -> Image:
    if fill == "black":
        return image.rotate(degrees, resample)
    if fill == "mean":
        means = tuple(round(mean) for mean in ImageStat.Stat(image).mean)
        return image.rotate(degrees, resample, fillcolor=means if len(means) > 1 else means[0])
    wide, high = _overhang(*image.size, degrees)
    pixels = np.asarray(image)
    padded = np.pad(pixels, ((high, high), (wide, wide), (0, 0))[: pixels.ndim], mode="edge")
    # the same margin on both sides: the centre stays the centre
    turned = PIL.Image.fromarray(padded).rotate(degrees, resample)
    return turned.crop((wide, high, wide + image.width, high + image.height))


def _overhang(width: int, height: int, degrees: float) -> tuple[int, int]:
    """Pixels by which a rotated canvas reaches beyond the image on each side, across and down."""
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    across, down = width * cosine + height * sine - width, width * sine + height * cosine - height
    return max(0, math.ceil(across / 2)) + _REACH, max(0, math.ceil(down / 2)) + _REACH
