"""Masks whose pixels are numbers: of objects in DAVIS, of classes in VOC."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sslkit.errors import RunError
from sslkit.parts import open_image


def read_index_mask(path: Path) -> np.ndarray:
    """The numbers in a palette or grey PNG: uint8 ``[H, W]``.

    Raises:
        RunError: if it cannot be read, or is of another mode: then its colours do not say which number is meant.
    """
    try:
        image = open_image(path)
        if image.mode not in ("P", "L"):
            raise OSError(f"is of mode {image.mode}, and masks are palette (P) or grey (L) images")
        return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error
