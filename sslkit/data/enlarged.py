"""Images smaller than a crop: enlarged, counted, and told of once."""

from __future__ import annotations

import logging

from sslkit.parts.collectives import gather_items, rank

log = logging.getLogger("sslkit")


class EnlargedImages:
    """Counts images whose short side is smaller than the largest view, over all ranks, and says so once a run.

    Small data is no mistake: where all images of the first batches are smaller than the view, the data is like
    that, and the line is at level INFO. Where only some images are, they are strays that the other images do not
    prepare anybody for, and the line is a WARNING.

    Args:
        side: of the largest view, in pixels.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self._waiting = (0, 0)
        self._flushed = False
        self._told = False

    def note(self, count: int, size: int) -> None:
        """Take note of a batch, until the next flush.

        Args:
            count: how many of its images are smaller than the largest view.
            size: how many images it has.
        """
        self._waiting = (self._waiting[0] + count, self._waiting[1] + size)

    def flush(self) -> int:
        """How many images all ranks have noted since the last flush; all ranks must call it together."""
        noted = gather_items([self._waiting])
        self._waiting = (0, 0)
        count = sum(noted_count for noted_count, _ in noted)
        size = sum(noted_size for _, noted_size in noted)
        if count and not self._told and rank() == 0:
            self._tell(count, size)
        self._told = self._told or count > 0
        self._flushed = self._flushed or size > 0
        return count

    def _tell(self, count: int, size: int) -> None:
        if not self._flushed and count == size:
            log.info("the images are smaller than the largest view of %d pixels and are enlarged", self.side)
            return
        log.warning(
            "%d of the last %d images are smaller than the largest view of %d pixels and are enlarged: what these "
            "views show is blurred; later ones are only counted",
            count, size, self.side,
        )  # fmt: skip
