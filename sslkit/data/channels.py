"""Gives an image the recipe's number of channels: RGB, grey or bands."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.ExifTags import Base
from PIL.Image import Image
from PIL.ImageOps import exif_transpose
from PIL.TiffImagePlugin import SAMPLESPERPIXEL, TiffImageFile

from sslkit.data.stored import Stored, is_deep, is_numbers, stored_numbers
from sslkit.data.transparency import flattened, transparent_colour, with_alpha, with_opacity
from sslkit.data.wide_png import is_wide, read_wide
from sslkit.parts.bands import Bands, Picture
from sslkit.parts.eight_bits import ValueRange
from sslkit.parts.preprocess import DEFAULT_VALUES, Values

#: Modes whose channels are taken as they are; alpha is one of them. Other colours than RGB count as 3 channels.
_WITH_ALPHA = {"LA": 2, "RGBA": 4}

#: Modes of the pages of a TIFF that are one band each.
_GREY = ("L", "I", "I;16", "I;16B", "I;16L", "F")


def to_channels(picture: Picture, channels: int, values: Values = DEFAULT_VALUES) -> Picture:
    """The picture decoded, upright, in 8 bits and with this many channels.

    For 3 channels mode RGB, for 1 mode L: either is made of the other, and transparent pixels show what
    ``values.alpha`` says. For any other number bands: the channels of an array or tensor, the grey pages of a TIFF, or
    RGBA and grey with alpha as they are. Nothing else is made of anything: bands have no known colours.

    Raises:
        ValueError: if the picture has another number of channels, or its numbers need ``values.value_range``.
    """
    if isinstance(picture, Bands):
        return _from_bands(picture, channels)
    if picture.format == "TIFF" and isinstance(picture, TiffImageFile) and pages_are_bands(picture):
        count = picture.n_frames
        if count != channels and (count, channels) != (3, 1):
            raise _misfit(count, channels, " (pages)")
        return _from_bands(_from_pages(picture, values.value_range), channels)
    image = in_eight_bits(picture, values.value_range)
    return to_mode(flattened(image, values.alpha), channels) if channels in (1, 3) else _with_alpha(image, channels)


def _from_bands(bands: Bands, channels: int) -> Picture:
    count = len(bands.bands)
    if channels in (1, 3) and count in (1, 3):
        return to_mode(bands.bands[0] if count == 1 else PIL.Image.merge("RGB", bands.bands), channels)
    if count != channels:
        raise _misfit(count, channels)
    return bands


def _misfit(count: int, channels: int, what: str = "") -> ValueError:
    return ValueError(f"has {count} channel{'s' if count > 1 else ''}{what}, and preprocess.channels is {channels}")


def pages_are_bands(tiff: TiffImageFile) -> bool:
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


def stored_pages(tiff: TiffImageFile) -> list[Stored]:
    """The numbers of every page of a TIFF."""
    pages = []
    for page in range(tiff.n_frames):
        tiff.seek(page)
        pages.append(stored_numbers(tiff, upright))
    return pages


def _from_pages(tiff: TiffImageFile, value_range: ValueRange | None) -> Bands:
    pages = stored_pages(tiff)
    # together: a dark band of floats must not be stretched more than its neighbours
    whole = Stored(np.stack([page.values for page in pages]), pages[0].most).eight_bits(value_range)
    planes = [255 - plane if page.white_is_zero else plane for plane, page in zip(whole, pages, strict=True)]
    return Bands(tuple(PIL.Image.fromarray(plane) for plane in planes))


def _with_alpha(image: Image, channels: int) -> Bands:
    """The bands of an image that is no TIFF of pages, for other than 1 and 3 channels."""
    count = _WITH_ALPHA.get(image.mode, 1 if image.mode in ("1", "L") else 3)
    stored = image.tag_v2.get(SAMPLESPERPIXEL, count) if isinstance(image, TiffImageFile) else count
    if stored > count and image.mode != "CMYK":
        raise ValueError(
            f"has {stored} channels of which Pillow reads {count}: store them as pages of the TIFF, or as .npy"
        )
    if count != channels:
        raise _misfit(count, channels, f" (mode {image.mode})")
    return Bands(image.split())


def to_mode(image: Image, channels: int) -> Image:
    """An image of 8 bits converted to RGB for 3 channels, to grey (L) for 1."""
    mode = "RGB" if channels == 3 else "L"
    if image.mode == "LAB":
        # not to grey in one go
        image = image.convert("RGB")
    if image.mode != mode:
        return image.convert(mode)
    return image


def in_eight_bits(image: Image, value_range: ValueRange | None) -> Image:
    """The image decoded, upright, of 8 bits a channel and of a mode that Pillow converts without ado.

    Raises:
        ValueError: if its numbers need a range, or the range needs numbers that Pillow does not give.
    """
    if is_numbers(image):
        return _grey_numbers(image, value_range)
    if is_wide(image):
        return upright(read_wide(image).eight_bits(value_range))
    if value_range is not None and is_deep(image):
        raise ValueError(
            "has 16 bits a channel, of which Pillow reads 8, and preprocess.value_range needs all of them: store it as "
            "PNG, as pages of a TIFF, or as .npy"
        )
    colour = transparent_colour(image)
    return with_alpha(upright(image), colour)


def _grey_numbers(image: Image, value_range: ValueRange | None) -> Image:
    clear = image.info.get("transparency")
    stored = stored_numbers(image, upright)
    made = PIL.Image.fromarray(stored.eight_bits(value_range))
    return made if clear is None else with_opacity(made, stored.values == clear)


def upright(image: Image) -> Image:
    """The image decoded, and turned as its metadata say."""
    # first: on the way to its metadata, Pillow would swallow that a PNG's pixels are damaged
    image.load()
    try:
        turned = image.getexif().get(Base.Orientation, 1) != 1
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and harms no pixel
        turned = False
    return exif_transpose(image) if turned else image
