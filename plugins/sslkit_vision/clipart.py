"""Clip art in colour, which ships with sslkit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from PIL import Image

from sslkit.errors import UserError
from sslkit.parts import Dataset, Images, Split

_ARCHIVE = Path(__file__).with_name("clipart.zip")
#: Length of an entry's header in a zip file before its name and extra field, whose two lengths end it.
_HEADER = 30


class Clipart(Dataset):
    """Clip art in colour, 64 x 64 pixels on white, 12 classes of 100 to 300 images; a fifth is to test with.

    From the Open Clip Art Library as Debian's package ``openclipart-png`` has it, in the public domain; nothing is
    downloaded. Copies and near copies were removed before the split, which is fixed. How the set was made stands in
    ``clipart.md`` beside this file.

    Args:
        train_images: take only this many of the training images, the first ones, a random sample; null: all.
    """

    def __init__(self, train_images: int | None = None) -> None:
        if train_images is not None and train_images < 1:
            raise UserError(f"train_images is {train_images}: it must be 1 or more (null: all)")
        self._splits = {"train": ArchivedImages("train", train_images), "test": ArchivedImages("test")}

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]


class ArchivedImages(Images):
    """The images of one split, read from the archive when they are asked for.

    Only the archive's list of names is held in memory and sent to worker processes, about 0.1 MB.

    Args:
        which: the folder of the archive.
        most: take only this many, the first ones; None: all.
    """

    def __init__(self, which: Split, most: int | None = None) -> None:
        with zipfile.ZipFile(_ARCHIVE) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.startswith(f"{which}/")]
        self.classes = tuple(sorted({entry.filename.split("/")[1] for entry in entries}))
        self._entries = [
            (entry.filename.removeprefix(f"{which}/"), entry.header_offset, entry.file_size, entry.CRC)
            for entry in entries[:most]
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, index: int) -> Image.Image:
        """Image ``index``, of mode ``RGB``."""
        _, offset, size, _ = self._entries[index]
        with _ARCHIVE.open("rb") as file:
            file.seek(offset)
            header = file.read(_HEADER)
            file.seek(int.from_bytes(header[-4:-2], "little") + int.from_bytes(header[-2:], "little"), io.SEEK_CUR)
            return Image.open(io.BytesIO(file.read(size)))

    def label(self, index: int) -> int:
        """The label of image ``index``."""
        return self.classes.index(self.name(index).split("/")[0])

    def name(self, index: int) -> str:
        """Class and name of image ``index`` in the Open Clip Art Library."""
        return self._entries[index][0]

    def stamp(self, index: int) -> str:
        """The checksum of the image's file."""
        return f"{self._entries[index][3]:08x}"
