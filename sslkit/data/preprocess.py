"""A whole image to a backbone's input: resize, centre crop, normalise."""

from __future__ import annotations

import numpy as np
import torch
from PIL.Image import Image, Resampling
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts.preprocess import Preprocess

_FILTERS = {"bicubic": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}

#: Images longer than this many times their short side are cropped while they are resized: a strip of 1 x 30000 pixels
#: would first become 256 x 7.7 million. The same pixels but for rounding (and, where the bicubic filter overshoots, for
#: whether Pillow clips rows or columns first).
_LONG = 8


def preprocess_image(image: Image, preprocess: Preprocess) -> Tensor:
    """Resize the short side and crop the centre: uint8 ``[C, size, size]``, not normalised.

    Equal, pixel by pixel, to torchvision's ``Resize(resize)`` and ``CenterCrop(size)`` on PIL images: the evaluation
    protocol of the reference DINO (eval_knn.py).

    Raises:
        UserError: if ``preprocess`` cannot be: no 1 or 3 channels, or resized to less than the crop.
    """
    size, short = preprocess.size, preprocess.resize or preprocess.size
    if preprocess.channels not in (1, 3):
        raise UserError(f"preprocess.channels: {preprocess.channels} is not possible; write 3 (RGB) or 1 (grey)")
    if short < size:
        raise UserError(
            f"preprocess.resize: {short} is less than the crop, preprocess.size {size}; write at least {size} or null"
        )
    mode = "RGB" if preprocess.channels == 3 else "L"
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.array(_resized_crop(image, short, size, _FILTERS[preprocess.interpolation]))
    tensor = torch.from_numpy(pixels)
    return tensor.permute(2, 0, 1).contiguous() if tensor.ndim == 3 else tensor[None]


def _resized_crop(image: Image, short: int, size: int, resample: Resampling) -> Image:
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
