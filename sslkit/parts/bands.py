"""Images of any number of channels: bands, each a grey Pillow image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling, Transpose
from PIL.ImageFilter import Filter

from sslkit.parts.eight_bits import ValueRange, eight_bits

#: Where the channels of an array lie: ``[C, H, W]`` or ``[H, W, C]``.
Axis = Literal["first", "last"]

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Bands:
    """An image of any number of channels, as so many Pillow images of mode L and of one size.

    What Pillow does to the bands one by one is, pixel by pixel, what it would do to an RGB image of three of them.
    The methods that Pillow's images have too take the same arguments, so that code that only crops, resizes,
    rotates, mirrors or filters need not know which of the two it has; anything else is done by :meth:`each`.

    Attributes:
        bands: one image a channel.
    """

    bands: tuple[Image, ...]

    def __post_init__(self) -> None:
        found = {(band.mode, *band.size) for band in self.bands}
        if len(found) != 1 or {mode for mode, *_ in found} != {"L"}:
            raise ValueError(f"bands must be one or more images of mode L and of one size, not {sorted(found)}")

    @classmethod
    def from_array(cls, values: np.ndarray, axis: Axis | None = None, value_range: ValueRange | None = None) -> Bands:
        """The image that an array holds; see :func:`channels_first`."""
        return cls(tuple(PIL.Image.fromarray(plane) for plane in channels_first(values, axis, value_range)))

    def array(self) -> np.ndarray:
        """The pixels as a new uint8 array ``[C, H, W]``."""
        return np.stack([np.asarray(band) for band in self.bands])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.bands[0].size

    @property
    def width(self) -> int:
        """In pixels."""
        return self.bands[0].width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bands[0].height

    def each(self, operation: Callable[[Image], Image]) -> Bands:
        """The image whose bands are what an operation makes of this one's."""
        return Bands(tuple(operation(band) for band in self.bands))

    def crop(self, box: _Box) -> Bands:
        """As Pillow's: left, top, right and bottom; black where the box reaches beyond the image."""
        return self.each(lambda band: band.crop(box))

    def resize(self, size: tuple[int, int], resample: Resampling | None = None, box: _Box | None = None) -> Bands:
        """As Pillow's: to width and height, of ``box`` alone if there is one."""
        return self.each(lambda band: band.resize(size, resample, box))

    def rotate(self, angle: float, resample: Resampling = Resampling.NEAREST) -> Bands:
        """As Pillow's: counter-clockwise in degrees, at the same size, corners black."""
        return self.each(lambda band: band.rotate(angle, resample))

    def transpose(self, method: Transpose) -> Bands:
        """As Pillow's: mirrored, or turned by quarters."""
        return self.each(lambda band: band.transpose(method))

    def filter(self, kernel: Filter) -> Bands:
        """As Pillow's."""
        return self.each(lambda band: band.filter(kernel))


#: What is augmented and preprocessed: a Pillow image of mode RGB (3 channels) or L (1), or the bands of any other.
Picture: TypeAlias = Image | Bands


@dataclass(frozen=True)
class Numbers:
    """An image as an array of numbers of any type: the engine scales them to 8 bits, as ``preprocess`` says.

    Attributes:
        values: ``[H, W]``, ``[C, H, W]`` or ``[H, W, C]``.
        axis: where the channels of three axes lie; None: first or last, whichever is shorter.
    """

    values: np.ndarray
    axis: Axis | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels.

        Raises:
            ValueError: if the array is no image.
        """
        height, width = _planes(self.values, self.axis).shape[1:]
        return width, height


def channels_first(values: np.ndarray, axis: Axis | None = None, value_range: ValueRange | None = None) -> np.ndarray:
    """An image that is an array of numbers, as uint8 ``[C, H, W]``.

    Args:
        values: ``[H, W]``, ``[C, H, W]`` or ``[H, W, C]``.
        axis: where the channels of three axes lie; None: first or last, whichever is shorter.
        value_range: which values become black and white; None: as :func:`sslkit.parts.eight_bits.eight_bits` has it
            for the array's type.

    Raises:
        ValueError: if it is no such array, first and last axis are equally long, or its type needs a range.
    """
    return np.ascontiguousarray(eight_bits(_planes(values, axis), value_range))


def _planes(values: np.ndarray, axis: Axis | None) -> np.ndarray:
    """The array as ``[C, H, W]``, of its own type."""
    shape = list(values.shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"has the shape {shape}; an image is [H, W], [C, H, W] or [H, W, C]")
    if len(shape) == 2:
        return values[None]
    if axis is None and shape[0] == shape[2]:
        raise ValueError(f"has the shape {shape}: its channels may be the first axis or the last; say channel_axis")
    first = axis == "first" if axis else shape[0] < shape[2]
    return values if first else np.moveaxis(values, 2, 0)
