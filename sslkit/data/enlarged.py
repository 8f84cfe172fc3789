"""Images smaller than a crop: enlarged, counted, and told of once."""

from __future__ import annotations

import logging

log = logging.getLogger("sslkit")


class EnlargedImages:
    """Counts images whose short side is smaller than the largest view, and says so in one line a run.

    Small data is no mistake: where the whole first batch is smaller than the view, the data is like that, and the
    line is at level INFO. Where only some images are, they are strays that the other images do not prepare anybody
    for, and the line is a WARNING. Either is said once, and only counted afterwards.

    Args:
        side: of the largest view, in pixels.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self._count = 0
        self._batches = 0
        self._told = False

    def __len__(self) -> int:
        """Images noted so far; one that is loaded again in another epoch counts again."""
        return self._count

    def note(self, count: int, size: int) -> None:
        """Take note of a batch.

        Args:
            count: how many of its images are smaller than the largest view.
            size: how many images it has.
        """
        self._batches += 1
        self._count += count
        if count == 0 or self._told:
            return
        self._told = True
        if self._batches == 1 and count == size:
            log.info("the images are smaller than the largest view of %d pixels and are enlarged", self.side)
        else:
            log.warning(
                "%d of the %d images of a batch are smaller than the largest view of %d pixels and are enlarged: "
                "what these views show is blurred; later ones are only counted",
                count, size, self.side,
            )  # fmt: skip
