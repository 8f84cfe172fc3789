"""Random boxes in an image, as random resized crops draw them."""

from __future__ import annotations

import math

import numpy as np

#: Width over height of a crop (torchvision's RandomResizedCrop, and Szegedy et al. 2014).
RATIO = (3 / 4, 4 / 3)

_TRIES = 10

Box = tuple[float, float, float, float]


def random_box(width: int, height: int, scale: tuple[float, float], draw: np.random.Generator) -> Box:
    """A box of a uniform share of the area and a log-uniform ratio, uniformly placed.

    As torchvision's RandomResizedCrop, but for its corners, which are not rounded to pixels: images of 8 pixels are
    cropped as evenly as large ones. If ten draws do not fit, the box is the largest centred one of a possible ratio.

    Args:
        width: of the image.
        height: of the image.
        scale: least and largest share of the area, in 0..1.
        draw: where the draws come from.

    Returns:
        left, top, right and bottom in pixels.
    """
    for _ in range(_TRIES):
        area = width * height * draw.uniform(*scale)
        ratio = math.exp(draw.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = draw.uniform(0, width - w), draw.uniform(0, height - h)
            return left, top, min(left + w, width), min(top + h, height)
    w, h = min(width, height * RATIO[1]), min(height, width / RATIO[0])
    left, top = (width - w) / 2, (height - h) / 2
    return left, top, left + w, top + h


def check_scale(scale: tuple[float, float]) -> bool:
    """Whether these are shares of an area, least first."""
    return 0 < scale[0] <= scale[1] <= 1
