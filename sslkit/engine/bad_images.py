"""The list of images that could not be read: each counted and listed once."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from pathlib import Path

from sslkit.data.reading import BadImage

log = logging.getLogger("sslkit")


class BadImages:
    """Keeps ``bad_images.csv`` (index, name, reason).

    Args:
        file: where the list lies; None on ranks that write nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._seen: set[int] = set()
        if file is not None and file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                self._seen = {int(row["index"]) for row in csv.DictReader(lines)}

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, bad: Iterable[BadImage]) -> None:
        """List images that are new; the first of a process is warned of."""
        new = {image.index: image for image in bad if image.index not in self._seen}
        if not new or self.file is None:
            return
        first = next(iter(new.values()))
        if not self.file.exists() or not self._seen:
            log.warning(
                "an image cannot be read and is replaced by another: %s (%s); all such images are listed in %s",
                first.name, first.reason, self.file,
            )  # fmt: skip
        fresh = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            if fresh:
                writer.writerow(["index", "name", "reason"])
            writer.writerows([image.index, image.name, image.reason] for image in new.values())
        self._seen |= new.keys()
