"""Masks of numbered objects as files: as benchmarks read them, and drawn over images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont
from PIL.Image import Image

from sslkit.parts import open_image
from sslkit_evaluators.gathered_files import png

#: Frames of a video that its picture shows.
_SHOWN = 5
_WIDTH = 320
#: Pixels of letters, and of the line below the frames.
_LETTERS, _LINE = 14, 20


def palette() -> np.ndarray:
    """The colours of numbered masks, uint8 ``[256, 3]``: those of VOC and DAVIS."""
    # the bits of a number are dealt out to the channels, from their highest bit on
    numbers = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)


def mask_png(mask: np.ndarray) -> bytes:
    """A mask, uint8 ``[H, W]``, as a palette PNG."""
    image = PIL.Image.fromarray(mask)
    image.putpalette(palette().tobytes())
    return png(image)


def filmstrip(frames: Sequence[Path], masks: np.ndarray) -> bytes:
    """A PNG of a few frames side by side, first and last among them, with their objects tinted and their files' names.

    Args:
        frames: image files.
        masks: uint8 ``[T, H, W]``, one a frame.
    """
    shown = sorted({round(turn) for turn in np.linspace(0, len(frames) - 1, _SHOWN)})
    tiles = [tinted(np.asarray(open_image(frames[index]).convert("RGB")), masks[index]) for index in shown]
    height = round(_WIDTH * tiles[0].height / tiles[0].width)
    sheet = PIL.Image.new("RGB", (len(tiles) * (_WIDTH + 4) - 4, height + _LINE), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LETTERS)
    for place, (index, tile) in enumerate(zip(shown, tiles, strict=True)):
        left = place * (_WIDTH + 4)
        sheet.paste(tile.resize((_WIDTH, height)), (left, 0))
        pen.text((left + 2, height), f"{frames[index].name}, {index + 1} of {len(frames)}", fill="black", font=font)
    return png(sheet)


def tinted(image: np.ndarray, mask: np.ndarray) -> Image:
    """An image, uint8 ``[H, W, 3]``, whose objects are half their colour of the palette."""
    colours = palette()[mask].astype(np.uint16)
    return PIL.Image.fromarray(np.where(mask[:, :, None] > 0, (image + colours) // 2, image).astype(np.uint8))
