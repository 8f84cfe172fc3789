"""Images that could not be read: the log of all that were met, and the count of those that cannot be read now."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sslkit.data.reading import BadImage, UnreadableImage, read_image
from sslkit.engine.files import write_text
from sslkit.errors import RunError
from sslkit.parts.collectives import gather_items, rank, world_size
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import Preprocess

log = logging.getLogger("sslkit")

Met = Literal["training", "evaluation"]
_COLUMNS = ("split", "index", "name", "reason", "met")
#: The split that is trained on, whoever reads it.
_TRAINED = "train"


@dataclass(frozen=True)
class _Listed:
    """A row of the log."""

    image: BadImage
    met: str


class BadImages:
    """Keeps ``bad_images.csv`` (split, index, name, reason, met: in training or evaluation), written by the first rank.

    The log is of the whole run: one row an image, whoever met it first. The count is of training images that this
    process or another rank found unreadable, in training or in an evaluation; :meth:`take_up` adds those of the log
    that still are.

    Args:
        file: where the log lies.
        most: images of the training data that may be unreadable; one more is an error.
    """

    def __init__(self, file: Path, most: int) -> None:
        self.file, self.most = file, most
        rows, self._whole = _read(file)
        self._listed = {row.image.key: row for row in rows}
        self._unreadable: set[int] = set()
        self._waiting: dict[tuple[str, int | str], _Listed] = {}

    def __len__(self) -> int:
        return len(self._listed)

    def take_up(self, images: Images, preprocess: Preprocess) -> None:
        """Read again what the log has of the training images: mended ones count no longer. All ranks call it together.

        The log has few of them, since more than ``most`` end a run: this costs less than a step or two.

        Args:
            images: what is trained on.
            preprocess: how they are read.

        Raises:
            RunError: if too many still cannot be read.
        """
        known = sorted(row.image.index for row in self._listed.values() if row.image.split == _TRAINED)
        mine = [index for index in known[rank() :: world_size()] if index < len(images)]
        still = [index for index in mine if not _readable(images, index, preprocess)]
        self._count(gather_items(still))

    def note(self, bad: Iterable[BadImage], met: Met) -> None:
        """Remember images until the next flush; on one rank they are listed at once.

        Args:
            bad: with their splits; those met in training need none.
            met: where.

        Raises:
            RunError: if there are too many.
        """
        images = [replace(image, split=_TRAINED) for image in bad] if met == "training" else list(bad)
        self._waiting |= {image.key: _Listed(image, met) for image in images if not self._is_known(image)}
        if self._waiting and world_size() == 1:
            self.flush()

    def flush(self) -> None:
        """List and count what any rank has noted; all ranks must call it together.

        Raises:
            RunError: if there are too many in the training data.
        """
        noted = gather_items([self._waiting])
        self._waiting = {}
        found: dict[tuple[str, int | str], _Listed] = {}
        for rows in noted:
            found = rows | found
        new = {key: row for key, row in found.items() if key not in self._listed}
        if new and rank() == 0:
            self._write(new)
        self._listed |= new
        self._count(row.image.index for row in found.values() if row.image.split == _TRAINED)

    def _is_known(self, image: BadImage) -> bool:
        return image.key in self._listed and (image.split != _TRAINED or image.index in self._unreadable)

    def _count(self, unreadable: Iterable[int]) -> None:
        self._unreadable |= set(unreadable)
        if len(self._unreadable) > self.most:
            raise RunError(
                f"{len(self._unreadable)} images of the training data cannot be read, and train.max_bad_fraction "
                f"allows {self.most}; {self.file} lists them: mend them, or allow more",
                on_every_rank=True,
            )

    def _write(self, new: Mapping[tuple[str, int | str], _Listed]) -> None:
        if not self._listed:
            first = next(iter(new.values())).image
            log.warning(
                "an image cannot be read and is replaced by another: %s (%s); all such images are listed in %s",
                first.name, first.reason, self.file,
            )  # fmt: skip
        if not (self._whole and self.file.exists()):
            write_text(self.file, _lines([_COLUMNS, *map(_row, self._listed.values())]))
            self._whole = True
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            lines.write(_lines(map(_row, new.values())))


def _readable(images: Images, index: int, preprocess: Preprocess) -> bool:
    try:
        read_image(images, index, preprocess.channels, values=preprocess.values)
    except UnreadableImage:
        return False
    return True


def _read(file: Path) -> tuple[list[_Listed], bool]:
    """The log's rows, and whether rows can be appended: not to one that is not there, that an older version wrote
    (without splits, so that it needs a new header), or whose last line a kill has cut.
    """
    if not file.is_file():
        return [], False
    with file.open(newline="", encoding="utf-8") as lines:
        text = lines.read()
    table = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(table)
    found = []
    for row in rows:
        if not (row.get("index") or "").isdigit() or row.get("reason") is None:
            continue  # a line that a kill has cut
        met = row.get("met") or ""
        split = row.get("split") or (_TRAINED if met == "training" else "")
        found.append(_Listed(BadImage(int(row["index"]), row["name"], row["reason"], split), met))
    return found, tuple(table.fieldnames or ()) == _COLUMNS and text.endswith("\n")


def _row(listed: _Listed) -> tuple[object, ...]:
    image = listed.image
    return image.split, image.index, image.name, image.reason, listed.met


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
