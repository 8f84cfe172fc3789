"""The contract of an augmenter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sslkit.parts.device_views import DeviceViews
from sslkit.parts.views import ViewSpec

if TYPE_CHECKING:
    from torch import Tensor

    from sslkit.parts.bands import Picture

#: The outcome of every random choice for one view: plain numbers (or short lists of them) by name.
Draws = Mapping[str, float | list[float]]


class Augmenter(ABC):
    """One image in, several augmented views out.

    Randomness and pixels are apart: :meth:`draw` makes every random choice of a view from the generator
    that it is handed (keyed by seed, epoch, image and view, so that no worker count, restart or world
    size changes a crop), and :meth:`render` is a pure function of image and draws.

    Context at build, by parameter name: ``channels``. An augmenter that cannot work on so many raises
    :class:`sslkit.errors.UserError`, and says which of its options to switch off if that helps.

    Attributes:
        views: the views it makes of every image, in order.
        on_device: makes them on the training device instead, from whole images and the same draws (whose names are
            then those of every view): the loader only decodes and draws. None: workers call :meth:`render`.
    """

    views: tuple[ViewSpec, ...]
    on_device: DeviceViews | None = None

    @abstractmethod
    def draw(self, view: ViewSpec, width: int, height: int, generator: np.random.Generator) -> Draws:
        """Every random choice for ``view`` of an image of ``width`` x ``height`` pixels.

        Pictures of views draw on the original what is called ``box`` (top, left, height and width of the crop in
        pixels), after the image was turned by ``rotation`` degrees about its centre, counter-clockwise; both are
        optional.
        """

    @abstractmethod
    def render(self, image: Picture, view: ViewSpec, draws: Draws) -> Tensor:
        """The view as uint8 ``[C, size, size]``, not normalised; runs in worker processes.

        Args:
            image: a PIL image of mode RGB (3 channels) or L (1), or :class:`sslkit.parts.Bands` for any other number.
            view: which one.
            draws: as :meth:`draw` gives them.
        """
