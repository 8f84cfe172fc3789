"""Tiny data sets in the layouts of VOC and DAVIS, whose numbers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

#: Pixels along a side of a video.
SIDE = 64


def voc(root: Path) -> Path:
    """Two images of 32 x 16 pixels: a bright object on dark ground, a dark object on bright ground, each on the left
    half; void between."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("bright\ndark\n")
    for name, inside, outside in (("bright", 255, 0), ("dark", 0, 255)):
        pixels = np.full((16, 32, 3), outside, dtype=np.uint8)
        pixels[:, :16] = inside
        Image.fromarray(pixels).save(root / f"JPEGImages/{name}.jpg", quality=100)
        mask = np.zeros((16, 32), dtype=np.uint8)
        mask[:, :16], mask[:, 15:17] = 7, 255
        palette = Image.fromarray(mask)
        palette.putpalette([0] * 768)
        palette.save(root / f"SegmentationClass/{name}.png")
    return root


def davis(root: Path, frames: int = 6, wrong: bool = False, videos: int = 1) -> Path:
    """Videos ``squares0``, ``squares1``, ...: a red and a blue square of 16 pixels wander over green, one patch of 4
    pixels a frame; each video is a frame shorter than the one before."""
    names = [f"squares{number}" for number in range(videos)]
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("\n".join(names))
    for number, name in enumerate(names):
        for folder in ("JPEGImages", "Annotations"):
            (root / folder / "480p" / name).mkdir(parents=True)
        for turn in range(frames - number):
            image, mask = _squares(turn)
            image.save(root / f"JPEGImages/480p/{name}/{turn:05d}.jpg", quality=100, subsampling=0)
            if wrong and turn:
                mask = np.zeros_like(mask)
            Image.fromarray(mask).save(root / f"Annotations/480p/{name}/{turn:05d}.png")
    return root


def _squares(turn: int) -> tuple[Image.Image, np.ndarray]:
    image = np.full((SIDE, SIDE, 3), (0, 200, 0), dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for number, colour, row, place in ((1, (220, 0, 0), 4, 8 + 4 * turn), (2, (0, 0, 220), 36, 40 - 4 * turn)):
        image[row : row + 16, place : place + 16] = colour
        mask[row : row + 16, place : place + 16] = number
    return Image.fromarray(image), mask
