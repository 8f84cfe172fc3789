"""Random crops of train images, made so that the evaluation's preprocessing leaves them as they are."""

from __future__ import annotations

from dataclasses import dataclass

from PIL.Image import Resampling, Transpose

from sslkit.parts import Picture, generator
from sslkit_evaluators.random_crop import random_box


@dataclass(frozen=True)
class TrainCrop:
    """A random resized crop and a flip, which the evaluation's resize and centre crop leave as they are.

    Attributes:
        size: side of the crop in pixels: that of the preprocessing.
        short: short side that the preprocessing resizes to. The crop is put into the middle of a canvas of this side.
        scale: share of the area, least and largest.
        seed: of the evaluation.
        epoch: which pass.
    """

    size: int
    short: int
    scale: tuple[float, float]
    seed: int
    epoch: int

    def __call__(self, image: Picture, index: int) -> Picture:
        draw = generator("linear_crop", self.seed, self.epoch, index)
        box = random_box(image.width, image.height, self.scale, draw)
        # bilinear, torchvision's default, which the reference's eval_linear.py leaves
        crop = image.resize((self.size, self.size), Resampling.BILINEAR, box)
        if draw.random() < 0.5:
            crop = crop.transpose(Transpose.FLIP_LEFT_RIGHT)
        return framed(crop, self.short)


def framed(view: Picture, short: int) -> Picture:
    """A square image in the middle of a black canvas: what a resize to ``short`` and a centre crop give back.

    Args:
        view: of the side that the preprocessing crops to.
        short: side of the canvas, the short side that the preprocessing resizes to.
    """
    if short == view.width:
        return view
    edge = round((short - view.width) / 2)
    # beyond the image a crop is black
    return view.crop((-edge, -edge, short - edge, short - edge))
