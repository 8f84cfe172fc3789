"""Views that are made on the training device, a batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sslkit.parts.bands import Picture

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WholeImages:
    """Whole images of a batch and the draws for their views; V views in the augmenter's order, B images.

    Attributes:
        pixels: uint8 ``[B, H, W, C]``, each image in the upper left corner, zeros beside it.
        sizes: ``[B, 4]`` float32: each image's height and width in pixels here, and those that its draws are for.
        numbers: ``[V, B, n]`` float32, all draws side by side.
        columns: the first of a draw's columns in ``numbers`` and how many it has, by its name.
    """

    pixels: Tensor
    sizes: Tensor
    numbers: Tensor
    columns: Mapping[str, tuple[int, int]]

    def draw(self, name: str) -> Tensor:
        """What was drawn by this name: ``[V, B]``, or ``[V, B, n]`` of a list."""
        first, count = self.columns[name]
        return self.numbers[..., first] if count == 1 else self.numbers[..., first : first + count]

    def on(self, move: Callable[[Tensor], Tensor]) -> WholeImages:
        """The same with every tensor moved, such as to a device."""
        return replace(self, pixels=move(self.pixels), sizes=move(self.sizes), numbers=move(self.numbers))

    def split(self, images: int) -> list[WholeImages]:
        """In parts of so many images; the last one may have fewer."""
        starts = range(0, len(self.pixels), images)
        parts = [slice(first, first + images) for first in starts]
        return [WholeImages(self.pixels[part], self.sizes[part], self.numbers[:, part], self.columns) for part in parts]


class DeviceViews(ABC):
    """Makes the views of an augmenter on the training device; goes to worker processes too."""

    @abstractmethod
    def prepare(self, image: Picture) -> Tensor:
        """The image as it travels, uint8 ``[H, W, C]``; may be smaller than it was; runs in worker processes."""

    @abstractmethod
    def render(self, images: WholeImages) -> Mapping[int, Tensor]:
        """The views, for each side in pixels uint8 ``[V, B, C, size, size]``: a pure function of images and draws.

        Runs on the device that the images are on, and must not wait for it. What becomes of an image does not depend
        on the others of its batch, but for rounding.
        """
