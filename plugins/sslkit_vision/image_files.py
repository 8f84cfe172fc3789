"""Image files on disk: finding and reading them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sslkit.errors import UserError

#: Formats that Pillow can name but not decode by itself (EPS would start Ghostscript).
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def readable_extensions() -> frozenset[str]:
    """The lower-case extensions, with their dot, of every format that Pillow reads."""
    known = Image.registered_extensions().items()
    return frozenset(ext for ext, kind in known if kind in Image.OPEN and kind not in _NOT_DECODED)


def find_files(root: Path) -> list[str]:
    """Paths relative to ``root`` of all regular files below it, sorted; hidden ones are left out.

    Links to folders are followed, except to a folder that the link lies in. Dead links, pipes, sockets and devices
    are no regular files.

    Raises:
        UserError: if a folder may not be listed.
    """
    found: list[str] = []
    waiting = [("", frozenset([_identity(root)]))]
    while waiting:
        folder, above = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    relative = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_file():
                        found.append(relative)
                    elif entry.is_dir():
                        identity = _identity(Path(entry.path))
                        if identity not in above:
                            waiting.append((relative, above | {identity}))
        except PermissionError as error:
            raise UserError(f"{root / folder}: no permission to list this folder") from error
    return sorted(found)


def read_image(path: Path) -> Image.Image:
    """The image in a file, upright, of mode ``L`` or ``RGB`` (deeper images are scaled to 8 bits a channel).

    Raises:
        OSError: with the path, if it is no regular file, larger than Pillow's limit against decompression bombs
            (``PIL.Image.MAX_IMAGE_PIXELS``), or does not decode completely.
    """
    try:
        # opening a pipe would wait for a writer
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("not a regular file")
        with Image.open(path) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise OSError(f"{image.width} x {image.height} pixels are more than the {limit} allowed")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _eight_bit(image)
    except Exception as error:
        # damaged files make Pillow's decoders raise nearly anything, from SyntaxError to struct.error
        raise OSError(f"{path}: not readable as an image: {type(error).__name__}: {error}") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion would clip: everything above 255 would be white
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray((np.nan_to_num(np.asarray(image)).clip(0, 1) * 255).round().astype(np.uint8))
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
