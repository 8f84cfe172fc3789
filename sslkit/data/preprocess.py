"""A whole image to a backbone's input: resize, centre crop, normalise."""

from __future__ import annotations

import numpy as np
import torch
from PIL.Image import Resampling
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts.bands import Bands, Picture
from sslkit.parts.preprocess import Preprocess

_FILTERS = {"bicubic": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}
_MODES = {3: "RGB", 1: "L"}

#: Images longer than this many times their short side are cropped while they are resized: a strip of 1 x 30000 pixels
#: would first become 256 x 7.7 million. The same pixels but for rounding (and, where the bicubic filter overshoots, for
#: whether Pillow clips rows or columns first).
_LONG = 8


def preprocess_image(image: Picture, preprocess: Preprocess) -> Tensor:
    """Resize the short side and crop the centre: uint8 ``[C, size, size]``, not normalised.

    Equal, pixel by pixel, to torchvision's ``Resize(resize)`` and ``CenterCrop(size)`` on PIL images: the evaluation
    protocol of the reference DINO (eval_knn.py).

    Raises:
        UserError: if ``preprocess`` cannot be: resized to less than the crop, or of other channels than the image.
    """
    size, short = preprocess.size, preprocess.resize or preprocess.size
    if short < size:
        raise UserError(
            f"preprocess.resize: {short} is less than the crop, preprocess.size {size}; write at least {size} or null"
        )
    image = _of_channels(image, preprocess.channels)
    return to_pixels(_resized_crop(image, short, size, _FILTERS[preprocess.interpolation]))


def _of_channels(image: Picture, channels: int) -> Picture:
    if isinstance(image, Bands):
        if len(image.bands) == channels:
            return image
        given = f"{len(image.bands)} bands"
    elif channels in _MODES:
        return image if image.mode == _MODES[channels] else image.convert(_MODES[channels])
    else:
        given = f"a PIL image of mode {image.mode}"
    raise UserError(f"preprocess.channels: {channels} bands are expected, not {given}")


def to_pixels(image: Picture) -> Tensor:
    """Bands, or an image of mode RGB or L, as uint8 ``[C, H, W]``."""
    if isinstance(image, Bands):
        return torch.from_numpy(image.array())
    tensor = torch.from_numpy(np.array(image))
    return tensor.permute(2, 0, 1).contiguous() if tensor.ndim == 3 else tensor[None]


def _resized_crop(image: Picture, short: int, size: int, resample: Resampling) -> Picture:
    """The centre ``size`` x ``size`` of the image with its short side resized to ``short``."""
    smaller = min(image.size)
    width, height = (short if side == smaller else int(short * side / smaller) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    if max(width, height) > _LONG * short:
        x, y = image.width / width, image.height / height
        return image.resize((size, size), resample, (left * x, top * y, (left + size) * x, (top + size) * y))
    if image.size != (width, height):
        image = image.resize((width, height), resample)
    return image.crop((left, top, left + size, top + size))


def normalize(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """``(pixels / 255 - mean) / std`` per channel, float32, on the pixels' device.

    Args:
        pixels: ``[..., C, H, W]``, uint8 or float in 0..255; left as it is.
        preprocess: mean and standard deviation.

    Raises:
        UserError: if mean and std do not have one number a channel.
    """
    channels = pixels.shape[-3]
    if not len(preprocess.mean) == len(preprocess.std) == channels:
        raise UserError(
            f"preprocess.mean and preprocess.std need one number for each of {channels} channel(s), "
            f"not {len(preprocess.mean)} and {len(preprocess.std)}"
        )
    out = pixels.to(torch.float32) / 255
    # plain numbers and not tensors: making a tensor of them on the GPU would be a host sync in every step
    for channel, (mean, std) in enumerate(zip(preprocess.mean, preprocess.std, strict=True)):
        out.select(-3, channel).sub_(mean).div_(std)
    return out
