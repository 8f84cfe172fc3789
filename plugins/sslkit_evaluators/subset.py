"""A part of a split, and the labels of a whole one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image
from torch import Tensor

from sslkit.errors import RunError
from sslkit.parts import Images, Numbers


class Some(Images):
    """A part of a split.

    Args:
        images: the split.
        chosen: indices of the part.
    """

    def __init__(self, images: Images, chosen: Sequence[int]) -> None:
        self.images, self.chosen, self.classes = images, list(chosen), images.classes

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, index: int) -> Image | Tensor | Numbers:
        """See :class:`sslkit.parts.Images`."""
        return self.images.read(self.chosen[index])

    def label(self, index: int) -> int | None:
        """See :class:`sslkit.parts.Images`."""
        return self.images.label(self.chosen[index])

    def name(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return self.images.name(self.chosen[index])

    def origin(self, index: int) -> tuple[Images, int]:
        """See :class:`sslkit.parts.Images`."""
        return self.images.origin(self.chosen[index])


def labels_of(images: Images) -> np.ndarray:
    """The labels of a split, ``[N]`` int64; no image is read.

    Raises:
        RunError: if an image has none.
    """
    labels = []
    for index in range(len(images)):
        label = images.label(index)
        if label is None:
            raise RunError(f"image {images.name(index)} has no label, and every image must have one")
        labels.append(label)
    return np.array(labels, dtype=np.int64)


def class_count(train: Images, test: Images) -> int:
    """How many outputs a classifier needs: one a class, and one for every label that occurs.

    Raises:
        RunError: if an image has no label.
    """
    labels = np.concatenate([labels_of(train), labels_of(test)])
    return max(len(train.classes or ()), 1 + int(labels.max(initial=-1)))


def class_name(images: Images, label: int) -> str:
    """What a person calls a class: its name, or its label where classes have no names."""
    return images.classes[label] if images.classes and label < len(images.classes) else f"of label {label}"


def class_names(images: Images, count: int) -> tuple[str, ...]:
    """The names of the first ``count`` classes; of classes without names, their labels."""
    known = images.classes or ()
    return tuple(known[label] if label < len(known) else str(label) for label in range(count))
