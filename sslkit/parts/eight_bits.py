"""Numbers of any type as 8 bits: one rule for arrays, TIFF, PNG, PGM and FITS."""

from __future__ import annotations

import numpy as np

#: Two values: what becomes black, and what becomes white.
ValueRange = tuple[float, float]

_OPTION = "preprocess.value_range: [low, high] says which values become black and white"


def eight_bits(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """The values of an image, all of its channels together, as uint8 of the same shape.

    uint8 and bool (true is 255) are taken as they are. Anything else is scaled by ``value_range``: its lower end and
    what lies below become 0, its upper end and what lies above 255. NaN becomes 0.

    Without a range, types whose own range says how are scaled by it: of uint16, 65535 becomes 255; floats are from 0 to
    1 if none is larger, else from 0 to 255. Signed and wider integers are refused: the few thousand values that such
    files hold would become one or two greys of their type's range.

    Raises:
        ValueError: for values that need a range, and types that are no numbers; it names the option.
    """
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return values
    if not values.size:
        raise ValueError("has no values")
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise ValueError(f"has values of type {values.dtype}, which are no image")
    if kind == "f":
        values = _numbers_only(values, value_range)
    if value_range is not None:
        return _scaled(values, *value_range)
    if values.dtype.itemsize == 2 and kind == "u":
        # whole numbers: half of the time of floats, and no rounding but the last
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if kind == "f":
        return _floats(values)
    raise ValueError(
        f"has values of type {values.dtype}; readable are uint8, uint16, bool and floats of 0 to 1 or 0 to 255, "
        f"and here are {values.min()} to {values.max()}; {_OPTION}"
    )


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    exact = np.result_type(values.dtype, np.float32)
    share = (values.astype(exact) - exact.type(low)) * exact.type(255 / (high - low))
    return np.asarray(np.rint(np.clip(share, 0, 255)), dtype=np.uint8)


def _numbers_only(values: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    """Floats with the value of black for NaN, if they are not all NaN."""
    if np.isnan(values).all():
        raise ValueError("has no value but NaN")
    if value_range is None and np.isinf(values).any():
        raise ValueError(f"has infinite values; {_OPTION}")
    return np.where(np.isnan(values), values.dtype.type(0 if value_range is None else value_range[0]), values)


def _floats(values: np.ndarray) -> np.ndarray:
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > 255:
        raise ValueError(f"has floats from {least:g} to {most:g}; readable are 0 to 1 and 0 to 255; {_OPTION}")
    return (values * 255 if most <= 1 else values).round().astype(np.uint8)
