"""Reads one image of any kind into 8-bit RGB, grey or bands, or says in one sentence why it cannot."""

from __future__ import annotations

import math
import struct
import traceback
import warnings
import zlib
from dataclasses import dataclass

import PIL.Image
import torch
from PIL.Image import DecompressionBombError, DecompressionBombWarning, Image
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from sslkit.data.channels import to_channels
from sslkit.parts.bands import Bands, Picture
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


def read_image(images: Images, index: int, channels: int, at_least: int | None = None) -> Picture:
    """Image ``index`` as 8 bits a channel, decoded completely.

    The image is turned upright as its EXIF orientation says. Alpha is dropped, not composited. 16-bit grey is scaled
    to 8 bits (65535 becomes 255), and so are floats, from 0 to 1 or from 0 to 255.

    Args:
        images: a split.
        index: which image.
        channels: 3 for mode RGB, 1 for mode L, else bands; see :func:`sslkit.data.channels.to_channels`.
        at_least: a JPEG may be decoded at a half, quarter or eighth of its size, which takes half of the time, as long
            as its short side is so many pixels then; None: at its own.

    Raises:
        UnreadableImage: for whatever goes wrong in reading: missing, truncated, damaged, of no known type, of another
            number of channels, or of more than ``MAX_PIXELS`` pixels.
        TypeError: if the data set gives something that is neither a PIL image nor a uint8 tensor.
    """
    try:
        with warnings.catch_warnings():
            # what Pillow thinks of metadata changes no pixel, and would be told anew for every image
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("error", DecompressionBombWarning)
            picture = as_picture(images.read(index), f"{type(images).__name__}.read gave")
            _check_size(picture)
            if at_least is not None and isinstance(picture, JpegImageFile):
                share = at_least / min(picture.size)
                picture.draft(None, (math.ceil(picture.width * share), math.ceil(picture.height * share)))
            return to_channels(picture, channels)
    except UnreadableImage:  # of images that are read from others
        raise
    except (*_READ_ERRORS, *_MISTAKES) as error:
        if isinstance(error, _MISTAKES) and not _raised_in_pillow(error):
            raise
        raise UnreadableImage(BadImage(index, images.name(index), _in_one_line(error))) from error


def _check_size(picture: Picture) -> None:
    pixels = picture.width * picture.height
    if not 0 < pixels <= MAX_PIXELS:
        size = f"{picture.width} x {picture.height} pixels"
        if isinstance(picture, Image):
            picture.close()
        raise ValueError(f"has {size}; readable are 1 to {MAX_PIXELS} pixels")


def _raised_in_pillow(error: BaseException) -> bool:
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    return str(frame.f_globals["__name__"]).startswith("PIL.")


def as_picture(given: object, whose: str) -> Picture:
    """What a data set may give, a tensor as the picture that it holds; not decoded, converted or checked.

    Args:
        given: a PIL image, bands, or a uint8 tensor ``[C, H, W]``.
        whose: who gave it, for the message.

    Raises:
        TypeError: if it is something else.
    """
    if isinstance(given, Tensor):
        return _from_tensor(given)
    if not isinstance(given, (Image, Bands)):
        raise TypeError(f"{whose} a {type(given).__name__}, not a PIL image or tensor")
    return given


def _from_tensor(pixels: Tensor) -> Picture:
    if pixels.dtype != torch.uint8 or pixels.ndim != 3 or pixels.shape[0] == 0:
        raise TypeError(f"an image tensor must be uint8 [C, H, W], not {pixels.dtype} {list(pixels.shape)}")
    if pixels.shape[0] == 3:
        return PIL.Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    planes = [PIL.Image.fromarray(plane) for plane in pixels.contiguous().numpy()]
    return planes[0] if len(planes) == 1 else Bands(tuple(planes))


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OSError | ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
