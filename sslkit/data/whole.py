"""Whole images on their way to the device, where their views are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sslkit.parts.augmenter import Draws
from sslkit.parts.device_views import WholeImages

#: Heights and widths of a batch are filled up to multiples of this: what matrix units like.
_MULTIPLE = 16


@dataclass(frozen=True)
class Source:
    """One whole image and the draws for its views.

    Attributes:
        pixels: uint8 ``[H, W, C]``.
        drawn_for: width and height in pixels that the draws are for.
        draws: of every view, in order.
    """

    pixels: Tensor
    drawn_for: tuple[int, int]
    draws: tuple[Draws, ...]


def stack_sources(sources: Sequence[Source]) -> WholeImages:
    """Images of any sizes as one batch, filled up with zeros."""
    shapes = [source.pixels.shape for source in sources]
    height, width = (-(-max(shape[axis] for shape in shapes) // _MULTIPLE) * _MULTIPLE for axis in (0, 1))
    pixels = torch.zeros(len(sources), height, width, shapes[0][2], dtype=torch.uint8)
    for place, source in zip(pixels, sources, strict=True):
        place[: source.pixels.shape[0], : source.pixels.shape[1]] = source.pixels
    sizes = [
        [*shape[:2], source.drawn_for[1], source.drawn_for[0]] for shape, source in zip(shapes, sources, strict=True)
    ]
    columns = _columns(sources[0].draws[0])
    numbers = [[_in_a_row(source.draws[view]) for source in sources] for view in range(len(sources[0].draws))]
    return WholeImages(pixels, torch.tensor(sizes, dtype=torch.float32), torch.tensor(numbers), columns)


def _columns(draws: Draws) -> dict[str, tuple[int, int]]:
    columns, first = {}, 0
    for name, value in draws.items():
        count = len(value) if isinstance(value, list) else 1
        columns[name] = first, count
        first += count
    return columns


def _in_a_row(draws: Draws) -> list[float]:
    return [float(number) for value in draws.values() for number in (value if isinstance(value, list) else (value,))]
