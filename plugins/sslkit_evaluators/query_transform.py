"""Random crops and rotations of query images: how much of the features is invariance."""

from __future__ import annotations

from dataclasses import dataclass

from PIL.Image import Resampling

from sslkit.parts import Fill, Picture, generator, rotated
from sslkit_evaluators.random_crop import random_box


@dataclass(frozen=True)
class QueryTransform:
    """Crops and rotates an image; the draws depend on seed, repeat and the image's index alone.

    Attributes:
        scale: share of the area that a crop keeps, least and largest; None: no crop.
        degrees: rotations are uniform between minus and plus this.
        short: short side of the result in pixels. Crops are enlarged to it in one go, so that an image of 8 pixels
            loses no detail to a second resize, and a photograph is not rotated at full size.
        seed: of the evaluation.
        repeat: which of several transformed copies.
        fill: what the corners of rotated images show.
    """

    scale: tuple[float, float] | None
    degrees: float
    short: int
    seed: int
    repeat: int
    fill: Fill = "black"

    def __call__(self, image: Picture, index: int) -> Picture:
        draw = generator("query", self.seed, self.repeat, index)
        box = random_box(image.width, image.height, self.scale, draw) if self.scale else None
        angle = draw.uniform(-self.degrees, self.degrees)
        shrink = self.short / min(image.size)
        size = (max(1, round(image.width * shrink)), max(1, round(image.height * shrink)))
        crop = image.resize(size, Resampling.BICUBIC, box)
        return rotated(crop, angle, Resampling.BICUBIC, self.fill) if self.degrees else crop
