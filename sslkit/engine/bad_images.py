"""The list of images that could not be read: each counted and listed once, whichever rank met it."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from pathlib import Path

from sslkit.data.reading import BadImage
from sslkit.parts.collectives import gather_items, rank, world_size

log = logging.getLogger("sslkit")


class BadImages:
    """Keeps ``bad_images.csv`` (index, name, reason), written by the first rank.

    Args:
        file: where the list lies.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._listed: set[str] = set()
        self._waiting: dict[str, BadImage] = {}
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                self._listed = {row["name"] for row in csv.DictReader(lines)}

    def __len__(self) -> int:
        return len(self._listed)

    def note(self, bad: Iterable[BadImage]) -> None:
        """Remember images until the next flush; on one rank they are listed at once."""
        self._waiting |= {image.name: image for image in bad if image.name not in self._listed}
        if self._waiting and world_size() == 1:
            self.flush()

    def flush(self) -> None:
        """List what any rank has noted; all ranks must call it together."""
        new = gather_items([self._waiting])
        self._waiting = {}
        images = {name: image for found in new for name, image in found.items() if name not in self._listed}
        if images and rank() == 0:
            self._write(list(images.values()))
        self._listed |= images.keys()

    def _write(self, images: list[BadImage]) -> None:
        if not self._listed:
            log.warning(
                "an image cannot be read and is replaced by another: %s (%s); all such images are listed in %s",
                images[0].name, images[0].reason, self.file,
            )  # fmt: skip
        fresh = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            if fresh:
                writer.writerow(["index", "name", "reason"])
            writer.writerows([image.index, image.name, image.reason] for image in images)
