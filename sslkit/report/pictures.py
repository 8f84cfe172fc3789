"""The picture of a run's first images: each original with the boxes of its crops, and the views that the nets see."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sslkit.data.batch import Collate, Sample
from sslkit.data.loading import AugmentedImages
from sslkit.data.preprocess import to_pixels
from sslkit.data.reading import read_image
from sslkit.parts.augmenter import Augmenter, Draws
from sslkit.parts.views import ViewSpec

#: Images in the picture of views; the least side in pixels of a view, and of an original.
SHOWN_IMAGES, SHOWN_SIDE, ORIGINAL_SIDE = 6, 96, 192
#: Pixels between cells, of the frame of a view, and of letters and lines of text.
_GAP, _FRAME, _LETTERS, _LINE = 8, 3, 12, 16


@dataclass(frozen=True)
class _Shown:
    """One image of the picture.

    Attributes:
        name: of its file.
        original: upright, 8 bits, RGB.
        views: RGB, in the augmenter's order.
        draws: of each view.
    """

    name: str
    original: Image.Image
    views: list[Image.Image]
    draws: tuple[Draws, ...]


def draw_views(file: Path, views: AugmentedImages) -> Path | None:
    """Write a picture of views: a row an image; first the image with the boxes of its crops, then a column a view, as
    epoch 0 shows them to the nets.

    Of images of more than three channels the first three are shown, as red, green and blue; of two the first.
    """
    rows = [_shown(views, index) for index in range(min(SHOWN_IMAGES, len(views.images)))]
    known = [row for row in rows if row is not None]
    if not known:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    _sheet(known, views.augmenter.views).save(file)
    return file


def _shown(views: AugmentedImages, index: int) -> _Shown | None:
    sample = views[0, index]
    if not sample.readable:
        return None
    image = read_image(views.images, sample.index, views.channels, values=views.values)
    draws = views.draws(0, index, len(sample.bad), image.size)
    made = [_picture(view) for view in _views_of(sample, views.augmenter)]
    return _Shown(views.images.name(sample.index), _picture(to_pixels(image)), made, draws)


def _views_of(sample: Sample, augmenter: Augmenter) -> Sequence[Tensor]:
    if sample.source is None:
        return sample.views
    made = {size: iter(views[:, 0]) for size, views in Collate(augmenter.views)([sample]).views(augmenter).items()}
    return [next(made[spec.size]) for spec in augmenter.views]


def _picture(pixels: Tensor) -> Image.Image:
    """uint8 ``[C, H, W]`` as RGB."""
    shown = pixels[: 3 if len(pixels) >= 3 else 1].expand(3, -1, -1)
    return Image.fromarray(shown.permute(1, 2, 0).contiguous().to(torch.uint8).cpu().numpy())


def _sheet(rows: Sequence[_Shown], specs: Sequence[ViewSpec]) -> Image.Image:
    # by whole numbers, up to the largest view: a pixel stays a square
    largest = max(SHOWN_SIDE, *(spec.size for spec in specs))
    enlarged = [largest // spec.size * spec.size for spec in specs]
    first = max(ORIGINAL_SIDE, *enlarged)
    lefts = [_GAP]
    for width in (first, *enlarged[:-1]):
        lefts.append(lefts[-1] + width + 2 * _FRAME + _GAP)
    head, height = _GAP + 2 * _LINE, first + 2 * _FRAME + _LINE + _GAP
    right = lefts[-1] + enlarged[-1] + 2 * _FRAME + _GAP
    sheet = Image.new("RGB", (right, head + len(rows) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LETTERS)
    for left, title in zip(lefts, ("original\nand its crops", *titles(specs)), strict=True):
        pen.multiline_text((left, 4), title, fill="black", font=font, spacing=2)
    for number, row in enumerate(rows):
        top = head + number * height
        drawn = _with_boxes(row, first)
        sheet.paste(drawn, (lefts[0], top))
        pen.text((lefts[0], top + drawn.height + 2), _fitting(row.name, first, font), fill="black", font=font)
        for place, (left, view, side) in enumerate(zip(lefts[1:], row.views, enlarged, strict=True)):
            frame = (left, top, left + side + 2 * _FRAME - 1, top + side + 2 * _FRAME - 1)
            pen.rectangle(frame, outline=_colour(place), width=_FRAME)
            sheet.paste(view.resize((side, side), Image.Resampling.NEAREST), (left + _FRAME, top + _FRAME))
    return sheet


def titles(specs: Sequence[ViewSpec]) -> list[str]:
    """A view's title on two lines, such as "global 1 of 2" and "224 px"."""
    kinds = [re.sub(r"[\W_]*\d+$", "", spec.id) for spec in specs]
    return [
        f"{kind} {kinds[:place].count(kind) + 1} of {kinds.count(kind)}\n{spec.size} px"
        for place, (kind, spec) in enumerate(zip(kinds, specs, strict=True))
    ]


def _with_boxes(row: _Shown, side: int) -> Image.Image:
    """The original, as large as ``side`` allows, with the outline of every crop in the colour of its view's frame."""
    width, height = row.original.size
    scale = side / max(width, height)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    drawn = row.original.resize(shape, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(drawn)
    for place, draws in enumerate(row.draws):
        if "box" in draws:
            corners = [(x * scale, y * scale) for x, y in crop_corners(draws, width, height)]
            pen.line([*corners, corners[0]], fill=_colour(place), width=2)
    return drawn


def crop_corners(draws: Draws, width: int, height: int) -> list[tuple[float, float]]:
    """Where the corners of a crop lie in the original, as x and y in pixels.

    Args:
        draws: with a ``box``; it was cut out after the image had been turned by ``rotation`` degrees.
        width: of the original.
        height: of the original.
    """
    top, left, down, across = draws["box"]  # type: ignore[misc]
    angle = math.radians(float(draws.get("rotation", 0.0)))  # type: ignore[arg-type]
    cosine, sine = math.cos(angle), math.sin(angle)
    found = []
    for x, y in ((left, top), (left + across, top), (left + across, top + down), (left, top + down)):
        # turned back about the centre; y points down
        right, below = x - width / 2, y - height / 2
        found.append((width / 2 + cosine * right - sine * below, height / 2 + sine * right + cosine * below))
    return found


def _colour(place: int) -> str:
    return mpl.colors.to_hex(mpl.colormaps["tab10"](place % 10))


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """A name cut in its middle so that it fits: folders and the file's end are what tell names apart."""
    if font.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 2 and font.getlength(f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}") > width:
        kept -= 1
    return f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"
