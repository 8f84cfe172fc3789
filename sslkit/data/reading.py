"""Reads one image of any kind into 8-bit RGB, grey or bands, or says in one sentence why it cannot."""

from __future__ import annotations

import math
import struct
import traceback
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import PIL.Image
import torch
from PIL.Image import DecompressionBombError, DecompressionBombWarning, Image
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from sslkit.data.channels import to_channels
from sslkit.parts.bands import Bands, Numbers, Picture
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import DEFAULT_VALUES, Values

#: Larger images are refused before they are decoded: 1/4 GiB as RGB, where Pillow begins to warn. A PNG of 20 KB can
#: hold 169 million pixels, and every worker would need 0.8 GB for it.
MAX_PIXELS = 89_478_485

#: What Pillow's decoders raise on damaged files, and data sets on missing ones.
READ_ERRORS = (
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
MISTAKES = (AttributeError, TypeError, AssertionError)


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read.

    Attributes:
        index: its index in the split.
        name: what the data set calls it: a path, or the index.
        reason: why, in one line.
        split: of the data that it is of: ``train`` or ``test``; empty where nobody has said it, or where it is of an
            evaluator's own images.
    """

    index: int
    name: str
    reason: str
    split: str = ""

    @property
    def key(self) -> tuple[str, int | str]:
        """What is equal of the same image, whoever met it: files of two splits may have one name."""
        return self.split, self.index if self.split else self.name


def each_once(bad: Iterable[BadImage]) -> list[BadImage]:
    """The first of every image that was met, whatever the reason was the next time."""
    found: dict[tuple[str, int | str], BadImage] = {}
    for image in bad:
        found.setdefault(image.key, image)
    return list(found.values())


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


def read_image(
    images: Images, index: int, channels: int, at_least: int | None = None, values: Values = DEFAULT_VALUES
) -> Picture:
    """Image ``index`` as 8 bits a channel, decoded completely.

    The image is turned upright as its EXIF orientation says. Transparent pixels show what ``values.alpha`` says.
    Numbers of other types than 8 bits are scaled by :func:`sslkit.parts.eight_bits.eight_bits`.

    Args:
        images: a split.
        index: which image.
        channels: 3 for mode RGB, 1 for mode L, else bands; see :func:`sslkit.data.channels.to_channels`.
        at_least: a JPEG may be decoded at a half, quarter or eighth of its size, which takes half of the time, as long
            as its short side has at least this many pixels then; None: at its own.
        values: of the recipe's ``preprocess``.

    Raises:
        UnreadableImage: for whatever goes wrong in reading: missing, truncated, damaged, of no known type, of another
            number of channels, of values that need a range, or of more than ``MAX_PIXELS`` pixels.
        TypeError: if the data set gives something that is neither a PIL image nor a uint8 tensor.
    """
    try:
        with warnings.catch_warnings():
            # what Pillow thinks of metadata changes no pixel, and would be told anew for every image
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("error", DecompressionBombWarning)
            picture = as_picture(images.read(index), f"{type(images).__name__}.read gave", values)
            check_size(picture)
            if at_least is not None and isinstance(picture, JpegImageFile):
                share = at_least / min(picture.size)
                picture.draft(None, (math.ceil(picture.width * share), math.ceil(picture.height * share)))
            return to_channels(picture, channels, values)
    except UnreadableImage as error:
        # of images that are read from others, which may have another index there
        bad = BadImage(index, images.name(index), error.bad.reason)
        raise UnreadableImage(bad) from error
    except (*READ_ERRORS, *MISTAKES) as error:
        if isinstance(error, MISTAKES) and not _raised_in_pillow(error):
            raise
        raise UnreadableImage(BadImage(index, images.name(index), _in_one_line(error))) from error


def check_size(picture: Picture) -> None:
    """Refuse what would be too large in memory, before it is decoded.

    Raises:
        ValueError: if it has no pixels, or more than ``MAX_PIXELS``.
    """
    pixels = picture.width * picture.height
    if not 0 < pixels <= MAX_PIXELS:
        size = f"{picture.width} x {picture.height} pixels"
        if isinstance(picture, Image):
            picture.close()
        raise ValueError(f"has {size}; readable are 1 to {MAX_PIXELS} pixels")


def _raised_in_pillow(error: BaseException) -> bool:
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    return str(frame.f_globals["__name__"]).startswith("PIL.")


def as_picture(given: object, whose: str, values: Values = DEFAULT_VALUES) -> Picture:
    """What a data set may give, tensors and numbers as the picture that they hold; else not decoded or converted.

    Args:
        given: a PIL image, bands, a uint8 tensor ``[C, H, W]``, or numbers of any type.
        whose: who gave it, for the message.
        values: how numbers become 8 bits.

    Raises:
        TypeError: if it is something else.
        ValueError: if numbers are no image, or need a range.
    """
    if isinstance(given, Tensor):
        return _from_tensor(given)
    if isinstance(given, Numbers):
        return Bands.from_array(given.values, given.axis, values.value_range)
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
