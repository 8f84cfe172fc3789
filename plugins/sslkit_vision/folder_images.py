"""Image files below a folder, and their classes."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from sslkit.parts import Axis, Images, Numbers, file_stamp, open_image
from sslkit_vision.image_files import ARRAY, read_array


class FolderImages(Images):
    """Image files below a folder, in sorted order.

    Args:
        root: the folder.
        names: paths relative to it, sorted.
        classes: the first-level folders that are labels; None without labels.
        axis: where the channels of arrays lie; None: the shorter of first and last axis.
    """

    def __init__(
        self, root: Path, names: Sequence[str], classes: tuple[str, ...] | None, axis: Axis | None = None
    ) -> None:
        self.root, self.classes, self._axis = root, classes, axis
        # one buffer instead of a million strings: worker processes then share its memory
        self._bytes = os.fsencode("".join(f"{name}\0" for name in names))
        self._starts = np.append(0, np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == 0) + 1)
        self._labels = None
        if classes is not None:
            number = {name: label for label, name in enumerate(classes)}
            found = list(stretches(names))
            labels = np.array([number[name] for name, _ in found], dtype=np.int32)
            self._labels = labels.repeat([count for _, count in found])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, index: int) -> Image.Image | Tensor | Numbers:
        """Image ``index``; of a ``.npy`` file a tensor or numbers.

        Raises:
            OSError: if the file cannot be opened as an image.
            ValueError: if its array is no image.
        """
        name = self._relative(index)
        if name[-4:].lower() == ARRAY:
            return read_array(self.root / name, self._axis)
        return open_image(self.root / name)

    def label(self, index: int) -> int | None:
        """The number of the image's first-level folder; None without labels."""
        return None if self._labels is None else int(self._labels[index])

    def name(self, index: int) -> str:
        """The path below the folder."""
        return self._relative(index).encode(errors="replace").decode()

    def location(self, index: int) -> str:
        """The path of the file."""
        return str(self.root / self.name(index))

    def stamp(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return file_stamp(self.root / self._relative(index))

    def _relative(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return os.fsdecode(self._bytes[self._starts[index] : self._starts[index + 1] - 1])


def stretches(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The first-level folders of sorted paths and how many lie in each; "" for a file in none."""
    first = 0
    while first < len(names):
        folder, slash, _ = names[first].rpartition("/")
        folder = folder.partition("/")[0]
        # "0" follows "/": all paths below the folder, and no other, come before it
        after = bisect_left(names, f"{folder}0", first) if slash else first + 1
        yield folder, after - first
        first = after


def classes_of(names: Sequence[str]) -> tuple[str, ...] | None:
    """The first-level folders of sorted paths; None if a file lies in none of them, or there is only one."""
    folders: list[str] = []
    for folder, _ in stretches(names):
        if not folder:
            return None
        folders.append(folder)
    # by their names: paths are sorted otherwise, as "a-b/" comes before "a/"
    return tuple(sorted(folders)) if len(folders) > 1 else None


def only_folder(names: Sequence[str]) -> str | None:
    """The first-level folder in which all of these sorted paths lie; None if there is none."""
    first, slash, _ = names[0].partition("/")
    return first if slash and names[-1].startswith(f"{first}/") else None
