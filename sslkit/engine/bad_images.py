"""The list of images that could not be read: each counted and listed once, whichever rank met it."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sslkit.data.reading import BadImage
from sslkit.errors import RunError
from sslkit.parts.collectives import gather_items, rank, world_size

log = logging.getLogger("sslkit")


class BadImages:
    """Keeps ``bad_images.csv`` (index, name, reason, met: in training or evaluation), written by the first rank.

    Args:
        file: where the list lies.
        most: images of the training data that may be unreadable; one more is an error.
    """

    def __init__(self, file: Path, most: int) -> None:
        self.file, self.most = file, most
        self._listed: set[str] = set()
        self._in_training = 0
        self._waiting: dict[str, tuple[BadImage, str]] = {}
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.DictReader(lines))
            self._listed = {row["name"] for row in rows}
            self._in_training = sum(row.get("met") == "training" for row in rows)

    def __len__(self) -> int:
        return len(self._listed)

    def note(self, bad: Iterable[BadImage], met: Literal["training", "evaluation"]) -> None:
        """Remember images until the next flush; on one rank they are listed at once.

        Raises:
            RunError: if there are too many.
        """
        self._waiting |= {image.name: (image, met) for image in bad if image.name not in self._listed}
        if self._waiting and world_size() == 1:
            self.flush()

    def flush(self) -> None:
        """List what any rank has noted; all ranks must call it together.

        Raises:
            RunError: if there are too many in the training data.
        """
        new = gather_items([self._waiting])
        self._waiting = {}
        images = {name: image for found in new for name, image in found.items() if name not in self._listed}
        if images and rank() == 0:
            self._write(list(images.values()))
        self._listed |= images.keys()
        self._in_training += sum(met == "training" for _, met in images.values())
        if self._in_training > self.most:
            raise RunError(
                f"{self._in_training} images of the training data cannot be read, and train.max_bad_fraction allows "
                f"{self.most}; {self.file} lists them: mend them, or allow more",
                on_every_rank=True,
            )

    def _write(self, found: list[tuple[BadImage, str]]) -> None:
        images = [image for image, _ in found]
        if not self._listed:
            log.warning(
                "an image cannot be read and is replaced by another: %s (%s); all such images are listed in %s",
                images[0].name, images[0].reason, self.file,
            )  # fmt: skip
        fresh = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            if fresh:
                writer.writerow(["index", "name", "reason", "met"])
            writer.writerows([image.index, image.name, image.reason, met] for image, met in found)
