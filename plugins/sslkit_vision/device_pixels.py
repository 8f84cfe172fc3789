"""Multi-crop's views on the training device, a whole batch by a few matrix products: close to Pillow's pixels.

Crop, resize and flip are one product with a matrix of filter weights a side of every view, the blur another two;
brightness, contrast, saturation and grayscale are folded into one affine map of the colours before the turn of the hue
and one after it. Nothing waits for the device, and what becomes of an image does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from PIL.Image import Image, Resampling
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Bands, DeviceViews, Picture, ViewSpec, WholeImages
from sslkit_vision.device_colour import recolour
from sslkit_vision.pixel_ops import Interpolation

#: Images at a time: what bounds the memory of the weights.
_AT_A_TIME = 64
#: The short side of an image that travels, as a multiple of the largest view: smaller ones are not changed, and crops
#: of 0.2 of the area are not enlarged. The long side may be twice that.
_SHORT = 2.3
#: Reach of the blur in standard deviations.
_REACH = 4


class DevicePixels(DeviceViews):
    """Renders the views of a multi-crop.

    Args:
        views: its views.
        channels: of the images: 3 or 1.
        reach: of brightness, contrast, saturation and hue; 0: off.
        blur_radius: the greatest standard deviation of the blur.
        threshold: of solarisation.
        interpolation: filter of the resize.

    Raises:
        UserError: if the images are neither RGB nor grey.
    """

    def __init__(
        self,
        views: tuple[ViewSpec, ...],
        channels: int,
        reach: tuple[float, float, float, float],
        blur_radius: float,
        threshold: int,
        interpolation: Interpolation,
    ) -> None:
        if channels not in (1, 3):
            raise UserError(
                f"pixels is 'device', and preprocess.channels is {channels}: RGB or grey images go, others with exact"
            )
        # views of one size stand side by side: a stretch, because a list of rows would have to be sent to the device
        sizes = [view.size for view in views]
        self._rows = {size: slice(sizes.index(size), sizes.index(size) + sizes.count(size)) for size in sizes}
        self._reach, self._threshold, self._interpolation = reach, threshold, interpolation
        self._blur_radius = blur_radius
        self._short = round(_SHORT * max(self._rows))

    def prepare(self, image: Picture) -> Tensor:
        """See :class:`sslkit.parts.DeviceViews`; large images are shrunk, so that a batch fits the memory."""
        if isinstance(image, Bands):
            raise TypeError("bands are no RGB or grey image")
        factor = min(1, self._short / min(image.size), 2 * self._short / max(image.size))
        if factor < 1:
            image = _shrunk(image, factor)
        pixels = torch.from_numpy(np.array(image))
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def render(self, images: WholeImages) -> Mapping[int, Tensor]:
        """See :class:`sslkit.parts.DeviceViews`."""
        parts = [self._render(part) for part in images.split(_AT_A_TIME)]
        return {size: torch.cat([part[size] for part in parts], dim=1) for size in self._rows}

    def _render(self, images: WholeImages) -> dict[int, Tensor]:
        own = {
            size: WholeImages(images.pixels, images.sizes, images.numbers[rows], images.columns)
            for size, rows in self._rows.items()
        }
        crops = [self._cropped(views, size) for size, views in own.items()]
        coloured = zip(own.items(), recolour(crops, images, self._reach), strict=True)
        return {size: self._finished(pixels, views) for (size, views), pixels in coloured}

    def _finished(self, pixels: Tensor, views: WholeImages) -> Tensor:
        """Blurred and solarised, as bytes."""
        blur = _blur_weights(views.draw("blur_radius"), pixels.shape[-1], self._blur_radius).to(pixels.dtype)
        pixels = _bytes(_product(pixels.permute(0, 1, 3, 2, 4), blur, blur))
        inverted = (views.draw("solarize") > 0)[..., None, None, None] & (pixels >= self._threshold)
        return torch.where(inverted, 255 - pixels, pixels).to(torch.uint8).contiguous()

    def _cropped(self, views: WholeImages, size: int) -> Tensor:
        """Cut out, resized and flipped: ``[V, B, C, size, size]``, whole numbers."""
        sizes, box = views.sizes, views.draw("box")
        height, width = views.pixels.shape[1:3]
        scale = (sizes[:, :2] / sizes[:, 2:]).repeat(1, 2)
        top, left, tall, wide = (box * scale).unbind(-1)
        down = resize_weights(top, tall, height, size, self._interpolation)
        right = resize_weights(left, wide, width, size, self._interpolation)
        right = torch.where((views.draw("flip") > 0)[..., None, None], right.flip(2), right)
        # half has three bits more than a pixel, and products of matrices are several times as fast
        dtype = torch.float16 if views.pixels.is_cuda else torch.float32
        pixels = views.pixels.permute(0, 1, 3, 2).to(dtype)
        return _bytes(_product(pixels[None], down.to(dtype), right.to(dtype)))


def _shrunk(image: Image, factor: float) -> Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Resampling.BICUBIC, reducing_gap=2.0)


def _bytes(pixels: Tensor) -> Tensor:
    """Rounded and cut off, as after every operation on bytes."""
    return pixels.round_().clamp_(0, 255)


def _product(pixels: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Both sides of pictures through a matrix of their own, columns first as in Pillow: ``[V, B, C, S, S]``.

    Args:
        pixels: ``[V or 1, B, H, C, W]``.
        down: ``[V, B, S, H]``.
        right: ``[V, B, S, W]``.
    """
    (views, count, side, width), (height, channels) = right.shape, pixels.shape[2:4]
    if len(pixels) == 1:
        # all views of an image at once: [B, H C, W] x [B, W, V S]
        columns = right.permute(1, 3, 0, 2).reshape(count, width, views * side)
        across = torch.bmm(pixels[0].reshape(count, height * channels, width), columns)
        across = across.view(count, height, channels, views, side).permute(3, 0, 1, 2, 4)
    else:
        across = torch.matmul(pixels.reshape(views, count, height * channels, width), right.transpose(2, 3))
    across = _bytes(across).reshape(views, count, height, channels * side)
    found = torch.matmul(down, across).view(views, count, side, channels, side)
    return found.permute(0, 1, 3, 2, 4)


def resize_weights(start: Tensor, length: Tensor, whole: int, size: int, interpolation: Interpolation) -> Tensor:
    """Filter weights of a stretch of pixels resized to ``size``: those of Pillow, ``[..., size, whole]``.

    Args:
        start: ``[...]``, of the stretch in pixels; pixels outside it have no say.
        length: ``[...]``, of the stretch.
        whole: pixels that there are.
        size: pixels that become of it.
        interpolation: widened where it shrinks.
    """
    scale = (length / size)[..., None, None]
    places = torch.arange(size, device=start.device)[:, None] + 0.5
    pixels = torch.arange(whole, device=start.device) + 0.5
    first = start[..., None, None]
    apart = (pixels - first - places * scale) / scale.clamp_min(1)
    kernel = _cubic(apart.abs_()) if interpolation == "bicubic" else (1 - apart.abs_()).clamp_min_(0)
    kernel *= (pixels > first) & (pixels < first + length[..., None, None])
    return kernel.div_(kernel.sum(dim=-1, keepdim=True))


def _cubic(x: Tensor) -> Tensor:
    """The cubic convolution of Keys (1981) with a = -0.5, of distances."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far * (x < 2))


def _blur_weights(radius: Tensor, size: int, greatest: float) -> Tensor:
    """Gaussian weights ``[V, B, size, size]``; the pixels at the edge stand for those beyond it.

    Args:
        radius: ``[V, B]``, standard deviations in pixels; 0: the matrix changes nothing.
        size: of the pictures.
        greatest: radius that may be.
    """
    reach = max(1, round(_REACH * greatest))
    sites = torch.arange(-reach, size + reach, device=radius.device, dtype=torch.float32)
    apart = sites - torch.arange(size, device=radius.device)[:, None]
    weights = (-0.5 * (apart / radius.clamp_min(1e-3)[..., None, None]) ** 2).exp_()
    inside = weights[..., reach : reach + size].clone()
    inside[..., 0] += weights[..., :reach].sum(dim=-1)
    inside[..., -1] += weights[..., reach + size :].sum(dim=-1)
    return inside.div_(inside.sum(dim=-1, keepdim=True))
