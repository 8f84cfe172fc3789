"""The pixels of one view by OpenCV, several operations at once: close to :mod:`sslkit_vision.pixel_ops`, not equal.

Brightness, contrast, saturation and grayscale are one affine map of (red, green, blue), so that values are rounded and
cut off once, at its end, and not after each operation; the blur is a true Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import mul

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import Draws
from sslkit_vision.pixel_ops import Interpolation

# OpenCV's own threads would fight over the cores with the loader's processes, and do not survive a fork
cv2.setNumThreads(0)

#: Of red, green and blue (ITU-R 601-2).
_LUMA = 0.299, 0.587, 0.114


def crop_and_resize(image: np.ndarray, box: list[float], size: int, interpolation: Interpolation) -> np.ndarray:
    """Cut a box out and resize it by torch's kernels, which agree with Pillow's to one step of 255.

    Args:
        image: uint8 ``[H, W, 3]``, or ``[H, W]`` of a grey one.
        box: top, left, height and width.
        size: the new side in pixels.
        interpolation: as for Pillow; both widen their filters where they shrink.

    Returns:
        uint8 of the image's form, with ``size`` for ``H`` and ``W``.
    """
    top, left, height, width = (int(value) for value in box)
    cut = torch.from_numpy(image[top : top + height, left : left + width])
    if cut.ndim == 2:
        return F.interpolate(cut[None, None], size=(size, size), mode=interpolation, antialias=True)[0, 0].numpy()
    # the batch's dimension before the move of the channels: torch knows channels-last by the strides, and resizes it so
    found = F.interpolate(cut[None].permute(0, 3, 1, 2), size=(size, size), mode=interpolation, antialias=True)
    return np.ascontiguousarray(found[0].permute(1, 2, 0).numpy())


def recolour(pixels: np.ndarray, draws: Draws, reach: tuple[float, float, float, float]) -> np.ndarray:
    """Colour jitter and grayscale.

    Args:
        pixels: uint8 ``[H, W, 3]``, or ``[H, W]``: then contrast and brightness alone.
        draws: as :meth:`sslkit_vision.multicrop.MultiCrop.draw` gives them.
        reach: of brightness, contrast, saturation and hue; 0: off.
    """
    colour = _Affine(pixels)
    for place in draws["order"] if draws["jitter"] else ():  # type: ignore[union-attr]
        name, change = _CHANGES[int(place)]
        if reach[int(place)]:
            change(colour, float(draws[name]))  # type: ignore[arg-type]
    if draws["gray"]:
        colour.saturate(0.0)
    return colour.pixels()


class _Affine:
    """Pixels, and a map of their colours that is still to be applied: ``same * colour + grey * luma + offset``.

    Brightness, contrast, saturation and grayscale are of this form, and so is one of them after another.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._start(pixels)

    def _start(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self._same, self._grey, self._offset = 1.0, 0.0, 0.0

    def scale(self, factor: float, offset: float = 0.0) -> None:
        """Brightness times ``factor``, then ``offset`` more."""
        self._same, self._grey = factor * self._same, factor * self._grey
        self._offset = factor * self._offset + offset

    def saturate(self, factor: float) -> None:
        """Away from each pixel's own grey, which has the weight ``same + grey``; 0: grey."""
        self._grey = factor * self._grey + (1 - factor) * (self._same + self._grey)
        self._same *= factor

    def luma(self) -> float:
        """The mean of the pixels' luma, as far as they are mapped."""
        mean = cv2.mean(self._pixels)
        luma = mean[0] if self._pixels.ndim == 2 else sum(map(mul, _LUMA, mean))
        return (self._same + self._grey) * luma + self._offset

    def turn(self, turns: float) -> None:
        """Turn the hue, which is no affine map."""
        if self._pixels.ndim == 2:
            return
        hsv = cv2.cvtColor(self.pixels(), cv2.COLOR_RGB2HSV_FULL)
        # wraps around, as hues do
        hsv[..., 0] += np.uint8(int(turns * 255) % 256)
        self._start(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)))

    def pixels(self) -> np.ndarray:
        """The pixels, mapped."""
        if (self._same, self._grey, self._offset) == (1, 0, 0):
            return self._pixels
        if self._pixels.ndim == 2:
            table = np.arange(256) * (self._same + self._grey) + self._offset
            return np.asarray(cv2.LUT(self._pixels, np.clip(np.rint(table), 0, 255).astype(np.uint8)))
        red, green, blue = (self._grey * weight for weight in _LUMA)
        rows = [red + self._same, green, blue], [red, green + self._same, blue], [red, green, blue + self._same]
        return np.asarray(cv2.transform(self._pixels, np.float32([[*row, self._offset] for row in rows])))


def _contrast(colour: _Affine, factor: float) -> None:
    colour.scale(factor, (1 - factor) * colour.luma())


#: As :data:`sslkit_vision.pixel_ops.JITTER` numbers them.
_CHANGES: tuple[tuple[str, Callable[[_Affine, float], None]], ...] = (
    ("brightness", _Affine.scale),
    ("contrast", _contrast),
    ("saturation", _Affine.saturate),
    ("hue", _Affine.turn),
)


def flip(pixels: np.ndarray) -> np.ndarray:
    """Mirror left and right."""
    return np.asarray(cv2.flip(pixels, 1))


def blur(pixels: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur with a standard deviation of ``radius`` pixels."""
    # not GaussianBlur, which is equal bit by bit on every machine and takes two to four times as long
    kernel = cv2.getGaussianKernel(2 * math.ceil(3 * radius) + 1, radius)
    return np.asarray(cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def solarize(pixels: np.ndarray, threshold: int) -> np.ndarray:
    """Invert all values of ``threshold`` and above."""
    values = np.arange(256)
    return np.asarray(cv2.LUT(pixels, np.where(values >= threshold, 255 - values, values).astype(np.uint8)))


def to_pixels(pixels: np.ndarray) -> Tensor:
    """As a uint8 tensor ``[C, H, W]``."""
    if pixels.ndim == 2:
        return torch.from_numpy(pixels)[None]
    planes = torch.empty(3, *pixels.shape[:2], dtype=torch.uint8)
    cv2.split(pixels, list(planes.numpy()))
    return planes
