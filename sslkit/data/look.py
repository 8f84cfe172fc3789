"""What values an image's file holds: their type, the least and the largest, and whether pixels are transparent."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from sslkit.data.channels import pages_are_bands, stored_pages, upright
from sslkit.data.reading import MISTAKES, READ_ERRORS, as_picture, check_size
from sslkit.data.stored import is_numbers, stored_numbers
from sslkit.data.transparency import is_transparent, transparent_colour, with_alpha
from sslkit.data.wide_png import is_wide, read_wide
from sslkit.parts.bands import Bands, Numbers, Picture
from sslkit.parts.dataset import Images


@dataclass(frozen=True)
class Look:
    """Values of one image.

    Attributes:
        kind: their type, such as ``uint8`` or ``int16``; ``uint12`` where the file says that 4095 is white.
        least: the least of them, NaN left out.
        most: the largest.
        transparent: whether a pixel is not opaque.
    """

    kind: str
    least: float
    most: float
    transparent: bool = False


def look(images: Images, index: int) -> Look | None:
    """The values of image ``index``; None: it cannot be decoded, or is too large to be."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            stored = images.read(index)
            if isinstance(stored, Numbers):
                return look_at(stored)
            picture = as_picture(stored, f"{type(images).__name__}.read gave")
            check_size(picture)
            return look_at(picture)
    except (*READ_ERRORS, *MISTAKES):
        return None


def look_at(stored: Picture | Numbers) -> Look:
    """The values of an image before they become 8 bits.

    Args:
        stored: what its data set gives, not decoded yet.

    Raises:
        ValueError: if it has no values, or Pillow reads only a part of them.
        OSError: if it cannot be decoded.
    """
    if isinstance(stored, Numbers):
        return _of(stored.values)
    if isinstance(stored, Bands):
        return _of(stored.array())
    if isinstance(stored, TiffImageFile) and pages_are_bands(stored):
        pages = stored_pages(stored)
        return _of(np.stack([page.values for page in pages]), most=pages[0].most)
    if is_numbers(stored):
        clear, numbers = stored.info.get("transparency"), stored_numbers(stored, upright)
        return _of(numbers.values, clear is not None and bool((numbers.values == clear).any()), numbers.most)
    if is_wide(stored):
        wide = read_wide(stored)
        return _of(wide.colours, wide.opacity is not None and bool((wide.opacity < 255).any()))
    colour = transparent_colour(stored)
    whole = with_alpha(upright(stored), colour)
    colours = whole.convert("RGB") if whole.mode in ("P", "LA", "RGBA") else whole
    return _of(np.asarray(colours), is_transparent(whole))


def _of(values: np.ndarray, transparent: bool = False, most: int | None = None) -> Look:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"has values of type {values.dtype}, which are no image")
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    if not known.size:
        raise ValueError("has no values")
    kind = str(values.dtype.newbyteorder("=")) if most is None else f"uint{most.bit_length()}"
    return Look(kind, float(known.min()), float(known.max()), transparent)
