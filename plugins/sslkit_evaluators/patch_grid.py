"""Resizes of whole images to a number of whole patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from PIL.Image import Image, Resampling

from sslkit.errors import UserError
from sslkit.parts import Bands, Picture

#: The reference DINO floors the long side of video frames to a multiple of this.
_VIDEO_STEP = 64


def check_whole_patches(size: int, stride: int) -> None:
    """Whether a side in pixels is a whole number of patches.

    Raises:
        UserError: if not, with the next smaller one that is.
    """
    if size % stride:
        nearest = max(stride, size // stride * stride)
        raise UserError(f"size: {size} is no multiple of the backbone's patch of {stride}; use {nearest}")


@dataclass(frozen=True)
class WholePatches:
    """Resizes an image so that its short side is about ``short`` and both sides are whole patches; bicubic.

    Attributes:
        short: in pixels; None: as it is.
        stride: side of a patch in pixels.
    """

    short: int | None
    stride: int

    def __call__(self, image: Picture, index: int) -> Picture:
        factor = 1.0 if self.short is None else self.short / min(image.size)
        width, height = (max(1, round(side * factor / self.stride)) * self.stride for side in image.size)
        return image.resize((width, height), Resampling.BICUBIC)


def frame_size(width: int, height: int, short: int, stride: int) -> tuple[int, int]:
    """Width and height that a video's frames are resized to: the short side to ``short``, the long one floored to a
    multiple of 64, or of the patch where that does not divide 64 (the reference's eval_video_segmentation.py)."""
    step = stride if _VIDEO_STEP % stride else _VIDEO_STEP
    long = max(step, int(short * max(width, height) / min(width, height) // step) * step)
    return (long, short) if width > height else (short, long)


@dataclass(frozen=True)
class Frame:
    """Resizes a video's frame as :func:`frame_size` says, bilinear and without antialiasing, as OpenCV does.

    Attributes:
        short: its short side in pixels.
        stride: side of a patch in pixels.
    """

    short: int
    stride: int

    def __call__(self, image: Picture, index: int) -> Picture:
        return image.each(self._resized) if isinstance(image, Bands) else self._resized(image)

    def _resized(self, image: Image) -> Image:
        width, height = frame_size(image.width, image.height, self.short, self.stride)
        if image.size == (width, height):
            return image
        pixels = torch.from_numpy(np.array(image)).float()
        planes = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
        resized = F.interpolate(planes, size=(height, width), mode="bilinear")[0].round().to(torch.uint8)
        return PIL.Image.fromarray((resized[0] if pixels.ndim == 2 else resized.permute(1, 2, 0)).numpy())
