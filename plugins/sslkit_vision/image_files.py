"""Image files on disk: finding and reading them."""

from __future__ import annotations

import os
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Axis, channels_first, file_content

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


def read_array(path: Path, axis: Axis | None) -> Tensor:
    """The image in a ``.npy`` file as uint8 ``[C, H, W]``, by the rules of :func:`sslkit.parts.channels_first`.

    Raises:
        OSError: if it is no regular file, or holds no array of numbers.
        ValueError: if the array is no image.
    """
    try:
        # not np.load: that would open archives and pickles too
        values = np.lib.format.read_array(file_content(path), allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, TokenError) as error:
        raise OSError(f"not a NumPy array of numbers: {error}") from error
    return torch.from_numpy(channels_first(values, axis))


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
