"""The contract of a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from sslkit.parts.bands import Numbers

Split = Literal["train", "test"]


class Images(ABC):
    """An indexed collection of images with stable indices.

    It is sent to worker processes, so it must pickle, and must not hold open files.

    Attributes:
        classes: names of the classes, by label; None without labels.
    """

    classes: tuple[str, ...] | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> Image | Tensor | Numbers:
        """Image ``index``: a PIL image of any mode, a uint8 tensor ``[C, H, W]`` of any number of channels, or
        :class:`sslkit.parts.Numbers` of any type.

        The engine decodes a PIL image, turns it upright and gives it the recipe's ``preprocess.channels``: RGB and
        grey are made of each other, and the grey pages of a TIFF are channels. An image of another number of channels
        counts as unreadable.

        Raises:
            OSError: if it cannot be read: the loader then takes another image, counts and lists it.
        """

    def label(self, index: int) -> int | None:
        """The label of image ``index``; None without labels."""
        return None

    def name(self, index: int) -> str:
        """A name that a person would recognise: a path, or the index."""
        return str(index)

    def location(self, index: int) -> str:
        """Where a person finds image ``index``: the path of its file; by default its name."""
        return self.name(index)

    def origin(self, index: int) -> tuple[Images, int]:
        """The images that image ``index`` is one of, and its index there: these, unless they are a part of others."""
        return self, index

    def stamp(self, index: int) -> str:
        """What changes when the image does, such as its file's size and time; empty: nobody can tell."""
        return ""


class Dataset(ABC):
    """Where images come from. ``__init__`` holds options only (``root``, ...), and may check that files exist.

    Raise :class:`sslkit.errors.UserError` with what is expected where, if they do not.
    """

    @abstractmethod
    def split(self, which: Split) -> Images | None:
        """The images of a split; None if the data set has no such split (every one has ``"train"``)."""
