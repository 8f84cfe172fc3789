"""Draws an image, its attention maps and their masks side by side."""

from __future__ import annotations

import matplotlib
import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling
from torch import Tensor

_TILE = 160
_GAP = 4


def attention_picture(pixels: Tensor, maps: Tensor, masks: Tensor) -> Image:
    """Two rows of tiles: image and maps; image and what the masks leave of it.

    Args:
        pixels: uint8 ``[H, W, 3]``: of an image of more channels the first three, of two the first.
        maps: ``[heads, h, w]``, non-negative; each is drawn from 0 (dark) to its own largest value (bright).
        masks: bool ``[heads, h, w]``; what lies outside is faded.
    """
    image = pixels.numpy()
    colours = matplotlib.colormaps["inferno"]
    top, bottom = [image], [image]
    for heat, mask in zip(maps.numpy(), masks.numpy(), strict=True):
        top.append((colours(heat / heat.max())[:, :, :3] * 255).astype(np.uint8))
        inside = np.array(PIL.Image.fromarray(mask).resize(image.shape[1::-1], Resampling.NEAREST))
        bottom.append(np.where(inside[:, :, None], image, 255 - (255 - image) // 5))
    height, width = image.shape[:2]
    larger = max(1.0, _TILE / max(height, width))
    return _tiled([top, bottom], (round(width * larger), round(height * larger)))


def _tiled(rows: list[list[np.ndarray]], tile: tuple[int, int]) -> Image:
    right, down = (side + _GAP for side in tile)
    sheet = PIL.Image.new("RGB", (len(rows[0]) * right + _GAP, len(rows) * down + _GAP), "white")
    for y, row in enumerate(rows):
        for x, part in enumerate(row):
            # nearest: a patch or a pixel is shown as the square that it is
            enlarged = PIL.Image.fromarray(part).resize(tile, Resampling.NEAREST)
            sheet.paste(enlarged, (_GAP + x * right, _GAP + y * down))
    return sheet
