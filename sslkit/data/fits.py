"""What the header of a FITS file says of its numbers (FITS standard 4.0, section 4.4): Pillow does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_CARD, _BLOCK = 80, 2880
_TYPES: dict[int, type[np.generic]] = {8: np.uint8, 16: np.int16, 32: np.int32, -32: np.float32, -64: np.float64}


@dataclass(frozen=True)
class FitsType:
    """The numbers of a FITS image: ``offset + factor * stored``.

    Attributes:
        dtype: of what is stored.
        factor: BSCALE.
        offset: BZERO.
    """

    dtype: type[np.generic]
    factor: float
    offset: float


def fits_type(file: BinaryIO) -> FitsType | None:
    """What the header before a FITS file's pixels says; None if it cannot be understood.

    Raises:
        ValueError: if the image is a stack, of which Pillow reads one plane.
    """
    found: dict[str, str] = {}
    while block := file.read(_BLOCK):
        cards = [block[place : place + _CARD].decode("ascii", "replace") for place in range(0, len(block), _CARD)]
        if cards[0].startswith(("SIMPLE", "XTENSION")):
            found = {}
        found |= {card[:8].strip(): card[10:].split("/")[0].strip() for card in cards if card[8:10] == "= "}
    # a compressed image is a table, whose keys of the image begin with Z
    prefix = "Z" if found.get("ZIMAGE") == "T" else ""
    try:
        planes = int(found.get(f"{prefix}NAXIS3", "1")) if int(found[f"{prefix}NAXIS"]) > 2 else 1
        dtype = _TYPES[int(found[f"{prefix}BITPIX"])]
        known = FitsType(dtype, float(found.get("BSCALE", "1")), float(found.get("BZERO", "0")))
    except (KeyError, ValueError):
        return None
    if planes != 1:
        raise ValueError(f"has {planes} planes, of which Pillow reads one: store them as pages of a TIFF, or as .npy")
    return known
