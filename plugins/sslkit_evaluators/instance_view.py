"""An augmented view of a whole image, as a query that should find the image it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageEnhance
from PIL.Image import Image, Resampling, Transpose

from sslkit.parts import Bands, Picture, generator
from sslkit_evaluators.random_crop import random_box

_ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class InstanceView:
    """Crops, mirrors and tints an image; the draws depend on the seed and the image's index alone.

    Attributes:
        scale: share of the area that the crop keeps, least and largest.
        flip: probability of mirroring left and right.
        colour: factors of brightness, contrast and saturation are uniform in 1 - colour ... 1 + colour. Bands, whose
            channels are no colours, keep theirs.
        short: short side of the result in pixels.
        seed: of the evaluation.
    """

    scale: tuple[float, float]
    flip: float
    colour: float
    short: int
    seed: int

    def __call__(self, image: Picture, index: int) -> Picture:
        draw = generator("instance", self.seed, index)
        box = random_box(image.width, image.height, self.scale, draw)
        mirrored = draw.random() < self.flip
        factors = draw.uniform(1 - self.colour, 1 + self.colour, len(_ENHANCERS))
        # of the size that a whole image is resized to: a view that keeps all of it is that image
        size = (self.short * image.width // min(image.size), self.short * image.height // min(image.size))
        view = image.resize(size, Resampling.BICUBIC, box)
        if mirrored:
            view = view.transpose(Transpose.FLIP_LEFT_RIGHT)
        return view if isinstance(view, Bands) else _tinted(view, factors.tolist())


def _tinted(view: Image, factors: list[float]) -> Image:
    for enhancer, factor in zip(_ENHANCERS, factors, strict=True):
        view = enhancer(view).enhance(factor)
    return view
