"""Gives an image the recipe's number of channels: RGB, grey or bands."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.ExifTags import Base
from PIL.Image import Image
from PIL.ImageOps import exif_transpose
from PIL.TiffImagePlugin import SAMPLESPERPIXEL, TiffImageFile

from sslkit.parts.bands import Bands, Picture, eight_bits

#: Modes whose channels are taken as they are; alpha is one of them. Other colours than RGB count as 3 channels.
_WITH_ALPHA = {"LA": 2, "RGBA": 4}

#: Modes of the pages of a TIFF that are one band each.
_GREY = ("L", "I", "I;16", "I;16B", "I;16L", "F")


def to_channels(picture: Picture, channels: int) -> Picture:
    """The picture decoded, upright, in 8 bits and with so many channels.

    For 3 channels mode RGB, for 1 mode L: either is made of the other, alpha is dropped. For any other number bands:
    the channels of an array or tensor, the grey pages of a TIFF, or RGBA and grey with alpha as they are. Nothing
    else is made of anything: bands have no known colours.

    Raises:
        ValueError: if the picture has another number of channels.
    """
    if isinstance(picture, Bands):
        return _from_bands(picture, channels)
    if picture.format == "TIFF" and isinstance(picture, TiffImageFile) and _pages_are_bands(picture):
        count = picture.n_frames
        if count != channels and (count, channels) != (3, 1):
            raise _misfit(count, channels, " (pages)")
        return _from_bands(_from_pages(picture), channels)
    return to_mode(picture, channels) if channels in (1, 3) else _with_alpha(picture, channels)


def _from_bands(bands: Bands, channels: int) -> Picture:
    count = len(bands.bands)
    if channels in (1, 3) and count in (1, 3):
        return to_mode(bands.bands[0] if count == 1 else PIL.Image.merge("RGB", bands.bands), channels)
    if count != channels:
        raise _misfit(count, channels)
    return bands


def _misfit(count: int, channels: int, what: str = "") -> ValueError:
    return ValueError(f"has {count} channel{'s' if count > 1 else ''}{what}, and preprocess.channels is {channels}")


def _pages_are_bands(tiff: TiffImageFile) -> bool:
    """Whether a TIFF is several grey pages of one kind and size; others, such as previews, are no bands."""
    first = (tiff.mode, tiff.size)
    if tiff.mode not in _GREY or tiff.n_frames == 1:
        return False
    same = True
    for page in range(1, tiff.n_frames):
        tiff.seek(page)
        same = same and (tiff.mode, tiff.size) == first
    tiff.seek(0)
    return same


def _from_pages(tiff: TiffImageFile) -> Bands:
    pages = []
    for page in range(tiff.n_frames):
        tiff.seek(page)
        pages.append(_numbers(_upright(tiff)))
    # together: a dark band of floats must not be stretched more than its neighbours
    return Bands.from_array(np.stack(pages), "first")


def _with_alpha(image: Image, channels: int) -> Bands:
    """The bands of an image that is no TIFF of pages, for other than 1 and 3 channels."""
    image = _decoded(image)
    count = _WITH_ALPHA.get(image.mode, 1 if image.mode in ("1", *_GREY) else 3)
    stored = image.tag_v2.get(SAMPLESPERPIXEL, count) if isinstance(image, TiffImageFile) else count
    if stored > count and image.mode != "CMYK":
        raise ValueError(
            f"has {stored} channels of which Pillow reads {count}: store them as pages of the TIFF, or as .npy"
        )
    if count != channels:
        raise _misfit(count, channels, f" (mode {image.mode})")
    return Bands(image.split())


def to_mode(image: Image, channels: int) -> Image:
    """The image decoded and converted to RGB for 3 channels, to grey (L) for 1."""
    mode = "RGB" if channels == 3 else "L"
    image = _decoded(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = PIL.Image.fromarray(eight_bits(_numbers(image)))
    elif image.mode == "LAB":
        # not to grey in one go
        image = image.convert("RGB")
    if image.mode != mode:
        return image.convert(mode)
    return image


def _decoded(image: Image) -> Image:
    """Upright, and of a mode that Pillow converts without ado."""
    image = _upright(image)
    if image.mode == "P" and "transparency" in image.info:
        # Pillow warns when it converts such palettes to RGB in one go
        return image.convert("RGBA")
    if image.mode in ("La", "RGBa"):
        # premultiplied alpha: only the way back is a conversion that Pillow knows
        return image.convert(image.mode.upper())
    return image


def _numbers(image: Image) -> np.ndarray:
    values = np.asarray(image)
    # mode "I" has 32 bits, but is what Pillow gave for 16-bit PNGs before version 11
    return np.clip(values, 0, 65535).astype(np.uint16) if image.mode.startswith("I") else values


def _upright(image: Image) -> Image:
    # first: on the way to its metadata, Pillow would swallow that a PNG's pixels are damaged
    image.load()
    try:
        turned = image.getexif().get(Base.Orientation, 1) != 1
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and harms no pixel
        turned = False
    return exif_transpose(image) if turned else image
