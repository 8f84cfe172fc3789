"""Images in files: opened safely, and as a list of paths."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import PIL.Image
from PIL import UnidentifiedImageError
from PIL.Image import Image

from sslkit.parts.dataset import Images
from sslkit.parts.pillow_plugins import register_pillow_plugins


def open_image(path: Path) -> Image:
    """The image in a file, not decoded yet: whoever reads it looks at its size first, and converts its mode.

    Raises:
        OSError: if it is no regular file, or not of a type that Pillow knows.
    """
    register_pillow_plugins()  # in worker processes too
    try:
        return PIL.Image.open(file_content(path))
    except UnidentifiedImageError:
        # Pillow's own message would name the memory that the file was read to
        what = "a TIFF" if path.suffix.lower() in (".tif", ".tiff") else "an image"
        raise OSError(f"not {what} of a type that Pillow knows") from None


def file_content(path: Path) -> io.BytesIO:
    """A regular file's bytes, in memory: a file that is open until its image is decoded could stay open for long.

    Raises:
        OSError: if it is no regular file.
    """
    # opening a pipe would wait for a writer
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("not a regular file")
    return io.BytesIO(path.read_bytes())


def file_stamp(path: Path) -> str:
    """Size and time of a file; empty if it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


class ImageFiles(Images):
    """Image files without labels, such as those of an evaluator's own data set.

    Args:
        paths: where they lie; an image is called by its path.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Image:
        """See :class:`sslkit.parts.Images`."""
        return open_image(self.paths[index])

    def name(self, index: int) -> str:
        """The path."""
        return str(self.paths[index])

    def stamp(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return file_stamp(self.paths[index])
