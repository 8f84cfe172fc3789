"""Draws an image, its attention maps and their masks side by side."""

from __future__ import annotations

import matplotlib
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont
from PIL.Image import Image, Resampling
from torch import Tensor

#: Pixels: the larger side of a tile, the space between tiles, letters and lines of text, the colour bar.
TILE, GAP = 160, 4
_LETTERS, _LINE = 12, 16
_BAR, _BAR_TEXT = 14, 84
#: Above the tiles: the name of the file, and a line of labels.
HEAD = 2 * _LINE + 2 * GAP
_COLOURS = "inferno"


def attention_picture(pixels: Tensor, maps: Tensor, masks: Tensor, name: str, mass: float) -> Image:
    """Two rows of tiles: the image and each head's map, with a colour bar; the image and what each mask leaves of it.

    Args:
        pixels: uint8 ``[H, W, 3]``: of an image of more channels the first three, of two the first.
        maps: ``[heads, h, w]``, non-negative, of sum 1; each is drawn from 0 (dark) to its own largest value (bright).
        masks: bool ``[heads, h, w]``; what lies outside is faded.
        name: of the image's file.
        mass: share of a head's attention that its mask holds.
    """
    image = pixels.numpy()
    colours = matplotlib.colormaps[_COLOURS]
    top, bottom = [image], [image]
    for heat, mask in zip(maps.numpy(), masks.numpy(), strict=True):
        top.append((colours(heat / heat.max())[:, :, :3] * 255).astype(np.uint8))
        inside = np.array(PIL.Image.fromarray(mask).resize(image.shape[1::-1], Resampling.NEAREST))
        bottom.append(np.where(inside[:, :, None], image, 255 - (255 - image) // 5))
    height, width = image.shape[:2]
    larger = max(1.0, TILE / max(height, width))
    tile = round(width * larger), round(height * larger)
    largest = [100 * float(heat.max()) for heat in maps]
    labels = ["image", *(f"head {head}: up to {share:.1f}%" for head, share in enumerate(largest, 1))]
    below = ["image", *(f"{mask.float().mean():.0%} of the patches" for mask in masks)]
    return _sheet(
        [(labels, top), (below, bottom)],
        tile,
        f"{name}: what the [CLS] token attends to; a mask holds {mass:.0%} of it",
    )


def _sheet(rows: list[tuple[list[str], list[np.ndarray]]], tile: tuple[int, int], title: str) -> Image:
    """Rows of labelled tiles under a title, with a colour bar beside the first row."""
    font = ImageFont.load_default(_LETTERS)
    right, down = tile[0] + GAP, _LINE + tile[1] + GAP
    tiles = len(rows[0][1]) * right + GAP
    # the text never meets the edge
    width = max(tiles + _BAR + _BAR_TEXT, 2 * GAP + round(font.getlength(title)))
    sheet = PIL.Image.new("RGB", (width, HEAD - _LINE + len(rows) * down), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), title, fill="black", font=font)
    for y, (labels, parts) in enumerate(rows):
        top = HEAD - _LINE + y * down
        for x, (label, part) in enumerate(zip(labels, parts, strict=True)):
            pen.text((GAP + x * right, top), label, fill="black", font=font)
            # nearest: a patch or a pixel is shown as the square that it is
            enlarged = PIL.Image.fromarray(part).resize(tile, Resampling.NEAREST)
            sheet.paste(enlarged, (GAP + x * right, top + _LINE))
    _bar(sheet, pen, (tiles, HEAD), tile[1], font)
    return sheet


def _bar(
    sheet: Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    height: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """The scale of the maps: from 0 at the bottom to each head's largest share at the top."""
    left, top = corner
    ramp = matplotlib.colormaps[_COLOURS](np.linspace(1, 0, height))[:, None, :3]
    column = PIL.Image.fromarray((ramp * 255).astype(np.uint8)).resize((_BAR, height), Resampling.NEAREST)
    sheet.paste(column, (left, top))
    pen.text((left + _BAR + GAP, top), "head's\nlargest", fill="black", font=font, spacing=2)
    pen.text((left + _BAR + GAP, top + height - _LINE), "0%", fill="black", font=font)
