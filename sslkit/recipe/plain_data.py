"""Python values as a recipe file could hold them: what people pass to :func:`sslkit.fit` is not always plain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any

from sslkit.errors import UserError
from sslkit.recipe.given import on_one_line, show

_MAX_DEPTH = 50


def plain_data(value: Any, where: str, depth: int = 0) -> Any:
    """A copy as plain data.

    Numbers, booleans, text and arrays of NumPy and torch become Python's; tuples, ranges and arrays become lists, paths
    become text, and a member of an enumeration becomes its value.

    Args:
        value: what the caller gave.
        where: where it stands, for messages.
        depth: how deep it is nested.

    Raises:
        UserError: for anything that no recipe file can hold.
    """
    if depth > _MAX_DEPTH:
        raise UserError(on_one_line(f"{where}: nested more than {_MAX_DEPTH} deep"))
    value = _without_arrays(value.value if isinstance(value, Enum) else value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (Real, Decimal)):  # int and float too, and what derives from them
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain_data(item, where, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return _plain_mapping(value, where, depth)
    raise UserError(on_one_line(f"{where}: {_refusal(value)}"))


def _plain_mapping(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            raise UserError(on_one_line(f"{where}: keys are text, but one is {show(key)}"))
    return {str(key): plain_data(item, f"{where}: {key}", depth + 1) for key, item in value.items()}


def _without_arrays(value: Any) -> Any:
    """NumPy's scalars and arrays, and torch's tensors, as Python's values; anything else as it is.

    Only a caller who has imported NumPy or torch can have one of theirs, so neither is imported for it.
    """
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if numpy is None:
        return value
    if isinstance(value, numpy.ndarray):
        return list(value) if value.ndim else _without_arrays(value[()])
    if isinstance(value, (numpy.bool_, numpy.integer)):
        return value.item()
    # by its shortest decimal: a float32 of 1e-3 is 0.001 and not 0.0010000000474974513
    return float(str(value)) if isinstance(value, numpy.floating) else value


def _refusal(value: Any) -> str:
    """Why a value is refused, and what to write where that can be said."""
    expected = "expected numbers, text, true or false, null, lists or mappings"
    advice = ""
    if isinstance(value, bytes):
        advice = "; write text, as value.decode()"
    elif isinstance(value, Iterable):
        advice = "; write a list, as list(value)"
    return f"{expected}, got {type(value).__name__}{advice}"
