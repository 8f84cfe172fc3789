"""Multi-crop: a few large and many small augmented crops of every image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal

import numpy as np
from PIL.Image import Image
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Augmenter, Bands, Draws, Fill, Picture, ViewSpec
from sslkit_vision import pixel_ops
from sslkit_vision.colour_jitter import ColourJitter
from sslkit_vision.crop_settings import by_view, check_colour, name_views
from sslkit_vision.device_pixels import DevicePixels
from sslkit_vision.pixel_ops import Interpolation
from sslkit_vision.ranges import between, interval, triple, within

Pixels = Literal["exact", "fast", "device"]
#: A run's own recipe says which one it was.
DEFAULT_PIXELS: Pixels = "fast" if find_spec("cv2") else "exact"
#: Boxes that are tried before the crop falls back to the centre (torchvision's RandomResizedCrop).
_TRIES = 10
#: Random numbers of a view: 13 of its own choices, and four for every box.
_NUMBERS = 13 + 4 * _TRIES


class MultiCrop(Augmenter):
    """Large crops for student and teacher, small ones for the student alone, each with its own distortions.

    In this order: rotation, random resized crop, flip, colour jitter (brightness, contrast, saturation and hue in
    random order), grayscale, blur, solarisation, noise. The defaults are the augmentation of the reference DINO
    (``main_dino.py``, DataAugmentationDINO), pixel by pixel: that has neither rotation nor noise. With
    ``local_crops: 0`` these are the two views of contrastive methods.

    The views are called ``global0``, ``global1``, ... and ``local0``, ``local1``, ... Images smaller than a crop are
    enlarged. On grey images (``preprocess.channels: 1``) saturation, hue and grayscale have no effect. Images of any
    other number of channels have no colour to change: set these three to 0; all else works band by band with the
    same draws, contrast about the mean of all bands. Every choice has a random number of its own, so that changing one
    option moves no other choice of the same view.

    Args:
        channels: of the images.
        global_crops: number of large crops.
        local_crops: number of small crops.
        apart: the first large crop is for the student alone, and the other large ones for the teacher alone (MoCo's
            query and keys); otherwise both nets see all large ones.
        global_size: side of the large crops in pixels.
        local_size: side of the small crops in pixels.
        global_scale: least and greatest share of the image's area in a large crop; without small crops the
            reference advises (0.14, 1).
        local_scale: the same of a small crop.
        ratio: least and greatest width/height of the box that is cut out, drawn evenly on a log scale.
        flip: probability of mirroring left and right.
        jitter: probability of the colour jitter as a whole.
        brightness: a factor is drawn from 1 - brightness to 1 + brightness, not below 0; 0: off.
        contrast: the same for contrast.
        saturation: the same for saturation.
        hue: a turn is drawn from -hue to hue, as a share of the colour circle, at most 0.5; 0: off.
        grayscale: probability of dropping colour.
        blur: probabilities of Gaussian blur for the first large crop, the other large crops and the small crops.
        blur_radius: least and greatest standard deviation of the blur in pixels of the crop.
        solarize: probabilities of solarisation, as for ``blur``.
        solarize_threshold: values from this one on (of 0..255) are inverted.
        rotation: the image is rotated by up to this many degrees either way before the crop; 0: off.
        rotation_fill: what its corners show then: ``black``, right where the background is black, as in scans;
            ``edge``: the outermost pixels, continued; ``mean``: the mean colour of the image.
        noise: standard deviation of Gaussian noise added at the end, in 0..1 of the full range; 0: off.
        interpolation: filter of rotation and resize.
        pixels: ``exact``: Pillow's operations, one by one, as the reference has them; ``fast``: OpenCV's, folded
            together (``pip install 'sslkit[opencv]'``; the default where that is installed): twice as fast and more,
            with the same draws and close to the same pixels; bands stay with Pillow; ``device``: the loader only
            decodes, and the training device makes the views of a batch by matrix products, with the same draws and
            close to the same pixels; without rotation and noise, of RGB and grey images (large ones are shrunk to 2.3
            times the largest view before).
    """

    def __init__(
        self,
        channels: int,
        global_crops: int = 2,
        local_crops: int = 8,
        apart: bool = False,
        global_size: int = 224,
        local_size: int = 96,
        global_scale: tuple[float, float] = (0.4, 1.0),
        local_scale: tuple[float, float] = (0.05, 0.4),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        jitter: float = 0.8,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        grayscale: float = 0.2,
        blur: tuple[float, float, float] = (1.0, 0.1, 0.5),
        blur_radius: tuple[float, float] = (0.1, 2.0),
        solarize: tuple[float, float, float] = (0.0, 0.2, 0.0),
        solarize_threshold: int = 128,
        rotation: float = 0.0,
        noise: float = 0.0,
        interpolation: Interpolation = "bicubic",
        pixels: Pixels = DEFAULT_PIXELS,
        rotation_fill: Fill = "black",
    ) -> None:
        self.views = name_views(global_crops, local_crops, apart, global_size, local_size)
        scales = interval("global_scale", global_scale, high=1), interval("local_scale", local_scale, high=1)
        self._settings = by_view(self.views, global_crops, scales, triple("blur", blur), triple("solarize", solarize))
        self._ratio = interval("ratio", ratio)
        self._flip, self._gray = within("flip", flip, 1), within("grayscale", grayscale, 1)
        self._jitter = ColourJitter(jitter, brightness, contrast, saturation, hue)
        check_colour(channels, self._jitter, grayscale)
        self._blur_radius = interval("blur_radius", blur_radius)
        self._solarize_threshold = int(within("solarize_threshold", solarize_threshold, 256))
        self._rotation, self._rotation_fill = within("rotation", rotation, 180), rotation_fill
        self._noise = within("noise", noise, 1)
        self._interpolation: Interpolation = interpolation
        self._fast, self._last = pixels == "fast" and _opencv(), pixel_ops.LastPixels()
        self.on_device = self._device_pixels(channels) if pixels == "device" else None

    def _device_pixels(self, channels: int) -> DevicePixels:
        if self._rotation or self._noise:
            raise UserError("pixels is 'device', which has no rotation and noise: set both to 0, or pixels exact")
        greatest, threshold = self._blur_radius[1], self._solarize_threshold
        return DevicePixels(self.views, channels, self._jitter.reach, greatest, threshold, self._interpolation)

    def draw(self, view: ViewSpec, width: int, height: int, generator: np.random.Generator) -> Draws:
        """Every random choice for a view of an image of ``width`` x ``height`` pixels.

        Returns:
            ``box`` (top, left, height, width), ``flip``, ``jitter`` with its ``order``, ``brightness``, ``contrast``,
            ``saturation`` and ``hue``, ``gray``, ``blur_radius`` (0: no blur), ``solarize``, ``rotation`` in degrees,
            ``noise_seed``. All of them are drawn, whatever is switched off and however many channels there are.
        """
        own = self._settings[view.id]
        # each choice takes its number at a fixed place: the order of these lines is part of what a seed means
        numbers = iter(generator.random(_NUMBERS).tolist())
        return {
            "flip": next(numbers) < self._flip,
            **self._jitter.draw(numbers),
            "gray": next(numbers) < self._gray,
            "blur_radius": (next(numbers) < own.blur) * between(self._blur_radius, next(numbers)),
            "solarize": next(numbers) < own.solarize,
            "rotation": between((-self._rotation, self._rotation), next(numbers)),
            "noise_seed": int(next(numbers) * 2**53),
            "box": random_box(width, height, own.scale, self._ratio, numbers),
        }

    def render(self, image: Picture, view: ViewSpec, draws: Draws) -> Tensor:
        """The view as uint8 ``[C, size, size]``; what was drawn as "do nothing" costs nothing.

        Args:
            image: of mode RGB, or L for one channel; bands for any other number.
            view: which one.
            draws: as :meth:`draw` gives them.
        """
        if draws["rotation"]:
            image = pixel_ops.rotate(image, draws["rotation"], self._interpolation, self._rotation_fill)
        if self._fast and not isinstance(image, Bands):
            return self._noisy(self._render_fast(image, view, draws), draws)
        image = pixel_ops.crop_and_resize(image, *draws["box"], view.size, self._interpolation)
        if draws["flip"]:
            image = pixel_ops.flip(image)
        if draws["jitter"]:
            image = self._jitter.render(image, draws)
        if draws["gray"]:
            image = pixel_ops.to_gray(image)
        if draws["blur_radius"]:
            image = pixel_ops.blur(image, draws["blur_radius"])
        if draws["solarize"]:
            image = pixel_ops.solarize(image, self._solarize_threshold)
        return self._noisy(pixel_ops.to_pixels(image), draws)

    def _render_fast(self, image: Image, view: ViewSpec, draws: Draws) -> Tensor:
        from sslkit_vision import fast_pixels  # here: OpenCV is optional, and takes its time

        pixels = fast_pixels.crop_and_resize(self._last.of(image), draws["box"], view.size, self._interpolation)
        if draws["flip"]:
            pixels = fast_pixels.flip(pixels)
        if draws["jitter"] or draws["gray"]:
            pixels = fast_pixels.recolour(pixels, draws, self._jitter.reach)
        if draws["blur_radius"]:
            pixels = fast_pixels.blur(pixels, draws["blur_radius"])
        if draws["solarize"]:
            pixels = fast_pixels.solarize(pixels, self._solarize_threshold)
        return fast_pixels.to_pixels(pixels)

    def _noisy(self, pixels: Tensor, draws: Draws) -> Tensor:
        return pixel_ops.add_noise(pixels, self._noise, int(draws["noise_seed"])) if self._noise else pixels


def random_box(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], numbers: Iterator[float]
) -> list[float]:
    """A random box of an image, as torchvision's ``RandomResizedCrop.get_params`` draws it.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        scale: range of the box's share of the image's area.
        ratio: range of its width/height.
        numbers: at least 40 random numbers in [0, 1): four a try.

    Returns:
        Top, left, height and width. If no try fits, the greatest box in the centre whose shape ``ratio`` allows.
    """
    logs = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(_TRIES):
        area = width * height * between(scale, next(numbers))
        shape = math.exp(between(logs, next(numbers)))
        down, right = next(numbers), next(numbers)
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return [int(down * (height - h + 1)), int(right * (width - w + 1)), h, w]
    # at least one pixel: torchvision's fallback cuts nothing out of very long images
    w = max(1, min(width, round(height * ratio[1])))
    h = max(1, min(height, round(width / ratio[0])))
    return [(height - h) // 2, (width - w) // 2, h, w]


def _opencv() -> bool:
    if find_spec("cv2") is None:
        raise UserError("pixels is 'fast', and OpenCV is not installed: pip install 'sslkit[opencv]', or pixels exact")
    return True
