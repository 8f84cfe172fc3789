"""The numbers of a grey image as its file has them: Pillow's modes do not say of which type they are.

Pillow reads signed and unsigned 32-bit TIFFs into the same mode ``I``, signed FITS into the unsigned ``I;16``, signed
8-bit TIFFs into ``L``, and turns "white is zero" around for 8 bits alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL.Image import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from sslkit.data.fits import fits_type
from sslkit.data.undecoded import bytes_before_pixels, decoder_arguments
from sslkit.parts.eight_bits import ValueRange, eight_bits

_SIGNED, _FLOAT = 2, 3
#: Type of a TIFF's numbers by sample format and bits.
_TIFF_TYPES: dict[tuple[int, int], type[np.generic]] = {
    (1, 12): np.uint16, (1, 16): np.uint16, (1, 32): np.uint32, (_SIGNED, 8): np.int8, (_SIGNED, 16): np.int16,
    (_SIGNED, 32): np.int32, (_FLOAT, 32): np.float32,
}  # fmt: skip
#: Type of a FITS file's numbers by Pillow's mode, where the header is gone.
_FITS_TYPES: dict[str, type[np.generic]] = {"L": np.uint8, "I;16": np.int16, "I": np.int32}


@dataclass(frozen=True)
class Stored:
    """Numbers of a grey image.

    Attributes:
        values: ``[H, W]`` of the file's own type; of several pages ``[C, H, W]``.
        most: what is white, where that is not the type's largest value: 4095 of 12 bits.
        white_is_zero: small values are bright.
    """

    values: np.ndarray
    most: int | None = None
    white_is_zero: bool = False

    def eight_bits(self, value_range: ValueRange | None) -> np.ndarray:
        """As uint8; see :func:`sslkit.parts.eight_bits.eight_bits`."""
        own = None if self.most is None else (0.0, float(self.most))
        scaled = eight_bits(self.values, value_range or own)
        return 255 - scaled if self.white_is_zero else scaled


@dataclass(frozen=True)
class _Type:
    """What is known of the numbers before they are decoded.

    Attributes:
        dtype: their type; None: as Pillow gives them.
        most: see :class:`Stored`.
        rescaled: Pillow has scaled them from 0..``most`` to 0..65535.
        white_is_zero: see :class:`Stored`.
        factor: of what is stored, which becomes a value with ``offset`` (FITS).
        offset: see ``factor``.
    """

    dtype: type[np.generic] | None = None
    most: int | None = None
    rescaled: bool = False
    white_is_zero: bool = False
    factor: float = 1.0
    offset: float = 0.0


def is_numbers(image: Image) -> bool:
    """Whether the image is grey with other than 8 unsigned bits; looked at before it is decoded."""
    if image.mode.startswith("I") or image.mode == "F":
        return True
    return image.mode == "L" and _type_of(image) not in (_Type(), _Type(np.uint8))


def stored_numbers(image: Image, decode: Callable[[Image], Image]) -> Stored:
    """The numbers of an image of which :func:`is_numbers` holds.

    Args:
        image: not decoded yet: a decoded one has forgotten parts of its header.
        decode: decodes it, and may turn it.

    Raises:
        ValueError: if Pillow reads only a part of it.
    """
    kind = _type_of(image)
    raw = np.asarray(decode(image))
    if image.format is None and raw.dtype == np.int32 and not raw.any():
        # of no file, so of no type that is known: an image that was only made is black by any rule
        return Stored(raw.astype(np.uint8))
    values = raw if kind.dtype is None else _as_type(raw, np.dtype(kind.dtype))
    if kind.rescaled and kind.most is not None:
        values = np.rint(values * (kind.most / 65535)).astype(np.uint16)
    if (kind.factor, kind.offset) != (1.0, 0.0):
        values = _physical(values, kind.factor, kind.offset)
    return Stored(values, kind.most, kind.white_is_zero)


def _as_type(raw: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if raw.dtype.kind == "f" or raw.dtype == dtype:
        return raw
    # the same bits read as another sign; modes with more bits than the file are cut
    return raw.astype(raw.dtype.newbyteorder("=")).astype(dtype)


def _physical(values: np.ndarray, factor: float, offset: float) -> np.ndarray:
    """FITS writes unsigned integers as signed ones and an offset of half of their range; floats otherwise."""
    bits = 8 * values.dtype.itemsize
    if values.dtype.kind == "i" and (factor, offset) == (1.0, 2.0 ** (bits - 1)):
        return np.asarray(values.astype(np.int64) + 2 ** (bits - 1), dtype=f"u{values.dtype.itemsize}")
    if values.dtype == np.uint8 and (factor, offset) == (1.0, -128.0):
        return np.asarray(values.astype(np.int16) - 128, dtype=np.int8)
    return np.asarray(values * factor + offset)


def _type_of(image: Image) -> _Type:
    if isinstance(image, TiffImageFile):
        return _tiff_type(image)
    if image.format == "PPM" and image.mode == "I":
        return _pgm_type(image)
    if image.format == "PNG" and image.mode == "I":
        return _Type(np.uint16)  # Pillow before version 11
    if image.format == "FITS":
        known = fits_type(BytesIO(bytes_before_pixels(image)))
        if known is None:
            return _Type(_FITS_TYPES.get(image.mode))
        return replace(_Type(known.dtype), factor=known.factor, offset=known.offset)
    return _Type()


def _tiff_type(image: TiffImageFile) -> _Type:
    bits = image.tag_v2.get(BITSPERSAMPLE, (1,))[0]
    form = image.tag_v2.get(SAMPLEFORMAT, (1,))[0]
    inverted = image.mode != "L" and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0
    return _Type(_TIFF_TYPES.get((form, bits)), 4095 if bits == 12 else None, white_is_zero=inverted)


def _pgm_type(image: Image) -> _Type:
    """Of a PGM of 16 bits, which has the value of white in its header."""
    layout = decoder_arguments(image)
    most = int(str(layout[1])) if len(layout) == 2 else 65535
    return _Type(np.uint16, None if most == 65535 else most, rescaled=most != 65535)


def is_deep(image: Image) -> bool:
    """Whether an image has more than 8 bits a channel, of which Pillow gives 8; looked at before it is decoded."""
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(BITSPERSAMPLE, (8,))) > 8)
    layout = decoder_arguments(image)
    if image.format == "PPM" and len(layout) == 2:
        return int(str(layout[1])) > 255
    return image.format in ("PNG", "PPM", "SGI") and ";16" in str(layout)
