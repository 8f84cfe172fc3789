"""The pixels of one view by OpenCV, several operations at once: close to :mod:`sslkit_vision.pixel_ops`, not equal.

Brightness, contrast, saturation and grayscale are one affine map of (red, green, blue), so that values are rounded and
cut off once, at its end, and not after each operation; the blur is a true Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import Draws
from sslkit_vision.pixel_ops import Interpolation

# OpenCV's own threads would fight over the cores with the loader's processes, and do not survive a fork
cv2.setNumThreads(0)

_LUMA = np.array([0.299, 0.587, 0.114])


def crop_and_resize(planes: Tensor, box: list[float], size: int, interpolation: Interpolation) -> np.ndarray:
    """Cut a box out and resize it by torch's kernels, which agree with Pillow's to one step of 255.

    Args:
        planes: uint8 ``[C, H, W]``.
        box: top, left, height and width.
        size: the new side in pixels.
        interpolation: as for Pillow; both widen their filters where they shrink.

    Returns:
        uint8 ``[size, size, 3]``, or ``[size, size]`` of a grey image.
    """
    top, left, height, width = (int(value) for value in box)
    cut = planes[None, :, top : top + height, left : left + width]
    found = F.interpolate(cut, size=(size, size), mode=interpolation, antialias=True)[0].contiguous().numpy()
    # not by numpy: for this its copies take as long as the resize
    return found[0] if len(found) == 1 else np.asarray(cv2.merge(list(found)))


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
        colour.then(_GREY)
    return colour.pixels()


class _Affine:
    """Pixels, and an affine map of their colours that is still to be applied."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels, self._grey = pixels, pixels.ndim == 2
        self._matrix, self._offset = np.eye(3), np.zeros(3)

    def then(self, matrix: np.ndarray, offset: float = 0.0) -> None:
        """Map once more."""
        self._matrix, self._offset = matrix @ self._matrix, matrix @ self._offset + offset

    def luma(self) -> float:
        """The mean of the pixels' luma, as far as they are mapped."""
        mean = cv2.mean(self._pixels)
        colours = np.full(3, mean[0]) if self._grey else np.asarray(mean[:3])
        return float(_LUMA @ (self._matrix @ colours + self._offset))

    def turn(self, turns: float) -> None:
        """Turn the hue, which is no affine map."""
        if self._grey:
            return
        hsv = cv2.cvtColor(self.pixels(), cv2.COLOR_RGB2HSV_FULL)
        # wraps around, as hues do
        hsv[..., 0] += np.uint8(int(turns * 255) % 256)
        self._pixels = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL))
        self._matrix, self._offset = np.eye(3), np.zeros(3)

    def pixels(self) -> np.ndarray:
        """The pixels, mapped."""
        if self._grey:
            # all three channels are the one there is
            table = np.arange(256) * self._matrix[0].sum() + self._offset[0]
            return np.asarray(cv2.LUT(self._pixels, np.clip(np.rint(table), 0, 255).astype(np.uint8)))
        whole = np.column_stack([self._matrix, self._offset]).astype(np.float32)
        return np.asarray(cv2.transform(self._pixels, whole))


_GREY = np.tile(_LUMA, (3, 1))


def _brightness(colour: _Affine, factor: float) -> None:
    colour.then(factor * np.eye(3))


def _contrast(colour: _Affine, factor: float) -> None:
    colour.then(factor * np.eye(3), (1 - factor) * colour.luma())


def _saturation(colour: _Affine, factor: float) -> None:
    colour.then(factor * np.eye(3) + (1 - factor) * _GREY)


#: As :data:`sslkit_vision.pixel_ops.JITTER` numbers them.
_CHANGES: tuple[tuple[str, Callable[[_Affine, float], None]], ...] = (
    ("brightness", _brightness),
    ("contrast", _contrast),
    ("saturation", _saturation),
    ("hue", _Affine.turn),
)


def blur(pixels: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur with a standard deviation of ``radius`` pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), radius, borderType=cv2.BORDER_REPLICATE))


def solarize(pixels: np.ndarray, threshold: int) -> np.ndarray:
    """Invert all values of ``threshold`` and above."""
    values = np.arange(256)
    return np.asarray(cv2.LUT(pixels, np.where(values >= threshold, 255 - values, values).astype(np.uint8)))


def to_pixels(pixels: np.ndarray) -> Tensor:
    """As a uint8 tensor ``[C, H, W]``."""
    if pixels.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(pixels))[None]
    return torch.from_numpy(np.stack(cv2.split(pixels)))
