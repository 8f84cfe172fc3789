"""Image files on disk: which they are, and arrays."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslkit.parts import Axis, Numbers, channels_first, file_content
from sslkit.parts.pillow_plugins import register_pillow_plugins

#: The extension of NumPy arrays.
ARRAY = ".npy"

#: Formats that Pillow can name but not decode by itself (EPS would start Ghostscript).
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def readable_extensions() -> frozenset[str]:
    """The lower-case extensions, with their dot, of every format that Pillow and its installed plugins read."""
    register_pillow_plugins()
    known = Image.registered_extensions().items()
    return frozenset(ext for ext, kind in known if kind in Image.OPEN and kind not in _NOT_DECODED)


def read_array(path: Path, axis: Axis | None) -> Tensor | Numbers:
    """The image in a ``.npy`` file: 8 bits as a tensor ``[C, H, W]``, other numbers as they are.

    Args:
        path: the file.
        axis: see :func:`sslkit.parts.channels_first`.

    Raises:
        OSError: if it is no regular file, or holds no array of numbers.
        ValueError: if the array is no image.
    """
    try:
        # not np.load: that would open archives and pickles too
        values = np.lib.format.read_array(file_content(path), allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, TokenError) as error:
        raise OSError(f"not a NumPy array of numbers: {error}") from error
    return torch.from_numpy(channels_first(values, axis)) if values.dtype == np.uint8 else Numbers(values, axis)
