"""The splits of the data that nets are evaluated on, each made once."""

from __future__ import annotations

from dataclasses import replace

from sslkit.data.reading import BadImage
from sslkit.parts.dataset import Dataset, Images, Split


class SplitsOnce(Dataset):
    """The same data, whose splits are made once, when they are asked for: known features and unreadable images are
    recognised by their split, and evaluators that bring their own data need no other.

    Args:
        data: the data.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._splits: dict[Split, Images | None] = {}

    def split(self, which: Split) -> Images | None:
        """See :class:`sslkit.parts.Dataset`."""
        if which not in self._splits:
            self._splits[which] = self._data.split(which)
        return self._splits[which]

    def place(self, images: Images, bad: BadImage) -> BadImage:
        """An unreadable image with the split that it is of, and its index there; an evaluator's own have none.

        Args:
            images: where it was read from: a split, a part of one, or other images.
            bad: the image, with its index there.
        """
        origin, index = images.origin(bad.index)
        for which, split in self._splits.items():
            if split is origin:
                return replace(bad, index=index, split=which)
        return bad
