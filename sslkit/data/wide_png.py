"""PNG files of 16 bits a channel in colour or with alpha, of which Pillow gives the upper 8 bits alone.

torchvision decodes them whole; once it has no decoders any more (version 0.29 says so), Pillow's 8 bits are taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL.Image import Image

from sslkit.data.undecoded import decoder_arguments, file_bytes
from sslkit.parts.eight_bits import ValueRange, eight_bits


def is_wide(image: Image) -> bool:
    """Whether an image is such a file; looked at before it is decoded."""
    wide = image.format == "PNG" and image.mode in ("RGB", "RGBA") and ";16" in str(decoder_arguments(image))
    return wide and _torchvision_decodes()


@cache
def _torchvision_decodes() -> bool:
    # only a file that needs it pays for the import
    try:
        from torchvision.io import decode_png  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True)
class WidePng:
    """The numbers of such a file.

    Attributes:
        colours: uint16 ``[C, H, W]``, grey or RGB.
        opacity: uint8 ``[H, W]``, 255 where nothing shines through; None: all is opaque.
        info: what Pillow knows beside the pixels, such as how the picture is turned.
    """

    colours: np.ndarray
    opacity: np.ndarray | None
    info: Mapping[str | tuple[int, int], Any]

    def eight_bits(self, value_range: ValueRange | None) -> Image:
        """RGB, or RGBA and LA with opacity, not turned; see :func:`sslkit.parts.eight_bits.eight_bits`."""
        planes = [*eight_bits(self.colours, value_range), *([] if self.opacity is None else [self.opacity])]
        mode = {2: "LA", 3: "RGB", 4: "RGBA"}[len(planes)]
        made = PIL.Image.merge(mode, [PIL.Image.fromarray(np.ascontiguousarray(plane)) for plane in planes])
        made.info = {key: value for key, value in self.info.items() if key != "transparency"}
        return made


def read_wide(image: Image) -> WidePng:
    """The numbers of an image of which :func:`is_wide` holds.

    Raises:
        OSError: if the file is damaged; also SyntaxError and RuntimeError.
    """
    from torchvision.io import ImageReadMode, decode_png

    content = torch.frombuffer(bytearray(file_bytes(image)), dtype=torch.uint8)
    # Pillow decodes it too: it notices damage that others let pass, and finds how a picture is turned behind its pixels
    image.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        values: np.ndarray = decode_png(content, ImageReadMode.UNCHANGED).numpy()
    if len(values) in (2, 4):
        return WidePng(values[:-1], eight_bits(values[-1]), image.info)
    clear = image.info.get("transparency")
    if clear is None:
        return WidePng(values, None, image.info)
    key = np.array(clear, np.uint16)[:, None, None]
    return WidePng(values, np.where((values == key).all(axis=0), 0, 255).astype(np.uint8), image.info)
