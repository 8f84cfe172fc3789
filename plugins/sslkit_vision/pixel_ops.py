"""Operations on the pixels of one view: pure functions of PIL images, equal to torchvision's to the last bit.

They are those of torchvision's PIL backend (``transforms/_functional_pil.py``), without its checks at every call. On
grey images (mode L) hue, saturation and grayscale have nothing to do and give the image back. Bands are treated one by
one, as the channels of an RGB image are; they have no colour, and those three refuse them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps, ImageStat
from torch import Tensor

from sslkit.parts import Bands, Fill, Picture, rotated

Interpolation = Literal["bicubic", "bilinear"]

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
#: Two turns of the hue circle: a stretch of 256 of them is the table that turns every hue.
_HUES = list(range(256)) * 2


class LastPixels:
    """The pixels of the image that was asked for last: every view of it begins with them."""

    def __init__(self) -> None:
        self._image: Image.Image | None = None
        self._pixels = np.empty(0)

    def __reduce__(self) -> tuple[type[LastPixels], tuple[()]]:
        # what goes to a worker process begins without
        return LastPixels, ()

    def of(self, image: Image.Image) -> np.ndarray:
        """uint8 ``[H, W, 3]`` of an image of mode RGB, ``[H, W]`` of L."""
        if image is not self._image:
            # a copy, as torch wants memory that may be written
            self._image, self._pixels = image, np.array(image)
        return self._pixels


def rotate(image: Picture, degrees: float, interpolation: Interpolation, fill: Fill = "black") -> Picture:
    """Turn an image counter-clockwise about its centre; see :func:`sslkit.parts.rotated`."""
    return rotated(image, degrees, _FILTERS[interpolation], fill)


def crop_and_resize(
    image: Picture, top: int, left: int, height: int, width: int, size: int, interpolation: Interpolation
) -> Picture:
    """Cut a box out and resize it to ``size`` x ``size``; pixels outside the box have no say."""
    # not resize(box=...): its filter would reach over the box's edge
    return image.crop((left, top, left + width, top + height)).resize((size, size), _FILTERS[interpolation])


def flip(image: Picture) -> Picture:
    """Mirror left and right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def adjust_brightness(image: Picture, factor: float) -> Picture:
    """Multiply by a factor: 0 is black, 1 the image."""
    if isinstance(image, Bands):
        return image.each(lambda band: ImageEnhance.Brightness(band).enhance(factor))
    return ImageEnhance.Brightness(image).enhance(factor)


def adjust_contrast(image: Picture, factor: float) -> Picture:
    """Move away from the mean grey by a factor: 0 is grey, 1 the image.

    The mean is that of an RGB image's luma (rounded), and of all pixels of all bands alike.
    """
    if isinstance(image, Bands):
        grey = int(sum(ImageStat.Stat(band).mean[0] for band in image.bands) / len(image.bands) + 0.5)
        flat = Image.new("L", image.size, grey)
        return image.each(lambda band: Image.blend(flat, band, factor))
    return ImageEnhance.Contrast(image).enhance(factor)


def adjust_saturation(image: Picture, factor: float) -> Picture:
    """Move away from the image's own grey by a factor: 0 is grey, 1 the image."""
    image = _with_colour(image)
    return image if image.mode == "L" else ImageEnhance.Color(image).enhance(factor)


def adjust_hue(image: Picture, turns: float) -> Picture:
    """Turn the hue by a share of the colour circle, in -0.5..0.5."""
    image = _with_colour(image)
    if image.mode == "L":
        return image
    hue, saturation, value = image.convert("HSV").split()
    shift = int(turns * 255) % 256
    turned = hue.point(_HUES[shift : shift + 256])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _with_colour(image: Picture) -> Image.Image:
    if isinstance(image, Bands):
        raise TypeError(f"{len(image.bands)} bands have no hue, saturation or luma")
    return image


#: The operations of colour jitter, as torchvision's ColorJitter numbers them in its random order.
JITTER: tuple[tuple[str, Callable[[Picture, float], Picture]], ...] = (
    ("brightness", adjust_brightness),
    ("contrast", adjust_contrast),
    ("saturation", adjust_saturation),
    ("hue", adjust_hue),
)


def to_gray(image: Picture) -> Picture:
    """Luma (ITU-R 601-2) in all channels."""
    image = _with_colour(image)
    return image if image.mode == "L" else image.convert("L").convert("RGB")


def blur(image: Picture, radius: float) -> Picture:
    """Gaussian blur (Pillow's, by repeated box blurs) with a standard deviation of ``radius`` pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def solarize(image: Picture, threshold: int) -> Picture:
    """Invert all values of ``threshold`` and above."""
    if isinstance(image, Bands):
        return image.each(lambda band: ImageOps.solarize(band, threshold))
    return ImageOps.solarize(image, threshold)


def to_pixels(image: Picture) -> Tensor:
    """The image as uint8 ``[C, H, W]``."""
    if isinstance(image, Bands):
        return torch.from_numpy(image.array())
    # a copy of the image's bytes, since a tensor needs memory that may be written
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    if image.mode == "L":
        return flat.view(1, image.height, image.width)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1).contiguous()


def add_noise(pixels: Tensor, std: float, seed: int) -> Tensor:
    """Add Gaussian noise of standard deviation ``std`` (in 0..1 of the full range), a function of ``seed``."""
    noisy = np.random.default_rng(seed).standard_normal(tuple(pixels.shape), dtype=np.float32)
    # in place and by plain ufuncs: on tiny images the calls cost more than the numbers
    noisy *= 255 * std
    noisy += pixels.numpy()
    np.rint(noisy, out=noisy)
    np.minimum(noisy, 255, out=noisy)
    np.maximum(noisy, 0, out=noisy)
    return torch.from_numpy(noisy.astype(np.uint8))
