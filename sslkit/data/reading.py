"""Reads one image of any kind into 8-bit RGB or grey, or says in one sentence why it cannot."""

from __future__ import annotations

import struct
import traceback
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from PIL.ExifTags import Base
from PIL.Image import DecompressionBombError, DecompressionBombWarning, Image
from PIL.ImageOps import exif_transpose
from torch import Tensor

from sslkit.parts.dataset import Images

#: Larger images are refused before they are decoded: 1/4 GiB as RGB, where Pillow begins to warn. A PNG of 20 KB can
#: hold 169 million pixels, and every worker would need 0.8 GB for it.
MAX_PIXELS = 89_478_485

#: What Pillow's decoders raise on damaged files, and data sets on missing ones.
_READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    DecompressionBombError,
    DecompressionBombWarning,
)

#: Met in Pillow's rarer decoders; raised anywhere else, they are a data set's own mistake and no bad image.
_MISTAKES = (AttributeError, TypeError, AssertionError)


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read.

    Attributes:
        index: its index in the split.
        name: what the data set calls it: a path, or the index.
        reason: why, in one line.
    """

    index: int
    name: str
    reason: str


class UnreadableImage(OSError):
    """An image that could not be read.

    Attributes:
        bad: which one, and why.
    """

    def __init__(self, bad: BadImage) -> None:
        super().__init__(f"{bad.name}: {bad.reason}")
        self.bad = bad

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[BadImage]]:
        # it crosses from a worker process to the main one
        return UnreadableImage, (self.bad,)


def read_image(images: Images, index: int, channels: int) -> Image:
    """Image ``index`` as 8 bits a channel, decoded completely.

    The image is turned upright as its EXIF orientation says. Alpha is dropped, not composited. 16-bit grey is scaled
    to 8 bits (65535 becomes 255), and so are floats, from 0 to 1 or from 0 to 255.

    Args:
        images: a split.
        index: which image.
        channels: 3 for mode RGB, 1 for mode L.

    Raises:
        UnreadableImage: for whatever goes wrong in reading: missing, truncated, damaged, of no known type, or of more
            than ``MAX_PIXELS`` pixels.
        TypeError: if the data set gives something that is neither a PIL image nor a uint8 tensor.
    """
    try:
        with warnings.catch_warnings():
            # what Pillow thinks of metadata changes no pixel, and would be told anew for every image
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("error", DecompressionBombWarning)
            given = images.read(index)
            image = _from_tensor(given) if isinstance(given, Tensor) else given
            if not isinstance(image, Image):
                raise TypeError(
                    f"{type(images).__name__}.read gave a {type(image).__name__}, not a PIL image or tensor"
                )
            _check_size(image)
            return to_mode(image, channels)
    except (*_READ_ERRORS, *_MISTAKES) as error:
        if isinstance(error, _MISTAKES) and not _raised_in_pillow(error):
            raise
        raise UnreadableImage(BadImage(index, images.name(index), _in_one_line(error))) from error


def _check_size(image: Image) -> None:
    pixels = image.width * image.height
    if not 0 < pixels <= MAX_PIXELS:
        size = f"{image.width} x {image.height} pixels"
        image.close()
        raise ValueError(f"has {size}; readable are 1 to {MAX_PIXELS} pixels")


def _raised_in_pillow(error: BaseException) -> bool:
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    return str(frame.f_globals["__name__"]).startswith("PIL.")


def _from_tensor(pixels: Tensor) -> Image:
    if pixels.dtype != torch.uint8 or pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4):
        raise TypeError(
            f"an image tensor must be uint8 [C, H, W] with 1, 3 or 4 channels, not {pixels.dtype} {list(pixels.shape)}"
        )
    rows = pixels.permute(1, 2, 0).contiguous().numpy()
    return PIL.Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows)


def to_mode(image: Image, channels: int) -> Image:
    """The image decoded and converted as :func:`read_image` does: RGB for 3 channels, grey (L) for 1."""
    mode = "RGB" if channels == 3 else "L"
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    elif image.mode == "F":
        image = _from_floats(image)
    elif image.mode == "P" and "transparency" in image.info:
        # Pillow warns when it converts such palettes to RGB in one go
        image = image.convert("RGBA")
    elif image.mode in ("La", "RGBa"):
        # premultiplied alpha: only the way back is a conversion that Pillow knows
        image = image.convert(image.mode.upper())
    elif image.mode == "LAB":
        # not to grey in one go
        image = image.convert("RGB")
    if image.mode != mode:
        return image.convert(mode)
    return image


def _from_16_bits(image: Image) -> Image:
    # mode "I" has 32 bits, but is what Pillow gave for 16-bit PNGs before version 11
    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return PIL.Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _from_floats(image: Image) -> Image:
    values = np.nan_to_num(np.asarray(image))
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > 255:
        raise ValueError(f"has floats from {least:g} to {most:g}; readable are 0 to 1 and 0 to 255")
    return PIL.Image.fromarray((values * 255 if most <= 1 else values).round().astype(np.uint8))


def _upright(image: Image) -> Image:
    # first: on the way to its metadata, Pillow would swallow that a PNG's pixels are damaged
    image.load()
    try:
        turned = image.getexif().get(Base.Orientation, 1) != 1
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and harms no pixel
        turned = False
    return exif_transpose(image) if turned else image


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OSError | ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
