"""Checks a given value against an option's type. jsonargparse converts; what it lets pass too easily is refused."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from sslkit.recipe.given import Given, Text, show
from sslkit.recipe.signature import describe, members, nullable
from sslkit.recipe.value_hints import choices, value_hint

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def typed(hint: Any, given: Given) -> Any:
    """The value as the annotation wants it.

    jsonargparse alone would take null for any type, and read text as numbers, lists or booleans ("12", "no").

    Raises:
        UserError: located, if it is of another type, null without being Optional, or not finite.
    """
    value = given.typed if _as_typed(hint, given) else settle(given.value, hint)
    if not _finite(value):
        raise given.error(f"expected a finite number, got {show(value)}")
    try:
        return _convert(hint, value)
    except (ValueError, TypeError, OverflowError):
        said = value_hint(hint, value, given, lambda other: _fits(hint, other))
        raise given.error(f"expected {describe(hint)}, got {show(value)}{said}") from None


def _as_typed(hint: Any, given: Given) -> bool:
    """Whether an option takes the text of a word that YAML reads as a list, a mapping or a quoted text.

    A text option does, so that a folder may be called ``[img]``, ``a: b`` or ``- x``. Where null or a number is another
    choice, quotes say that text is meant: there they are no part of it.
    """
    kinds = members(hint)
    if given.typed is None or isinstance(given.value, Text) or str not in kinds:
        return False
    if isinstance(given.value, str):
        return len(kinds) == 1
    home = (dict,) if isinstance(given.value, dict) else (list, tuple)
    return not any(get_origin(kind) in home for kind in kinds)


def settle(value: Any, hint: Any) -> Any:
    """Command-line text as the option's type reads it; a whole float (``1e3``) as the int that is asked for.

    A ``str`` option takes the text as typed (``--data.root 12``), an option of another type takes what YAML reads.
    """
    kinds = members(hint)
    if isinstance(value, dict):
        inner = next((get_args(kind)[1] for kind in kinds if get_origin(kind) is dict), Any)
        return {key: settle(item, inner) for key, item in value.items()}
    if isinstance(value, Text):
        raw, reading = value
        is_literal = any(get_origin(kind) is Literal and raw in get_args(kind) for kind in kinds)
        is_text = isinstance(reading, str) or not (type(reading) in kinds or (type(reading) is int and float in kinds))
        value = raw if is_literal or (str in kinds and is_text) else reading
    if isinstance(value, float) and int in kinds and float not in kinds and value.is_integer():
        return int(value)
    return value


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _convert(hint: Any, value: Any) -> Any:
    """Raises ValueError, TypeError or OverflowError if the value is none of the type's."""
    if isinstance(value, str) and (str in members(hint) or value in choices(hint)):
        return value
    if value is None and not nullable(hint):
        raise ValueError("null")
    from jsonargparse import ArgumentError

    try:
        # a copy, since jsonargparse converts the items of a list in place
        converted = _parser(hint).parse_object({"value": deepcopy(value)}).value
    except ArgumentError as error:
        raise ValueError(str(error)) from error
    if not _faithful(value, converted):
        raise ValueError("read as another type")
    return converted


def _fits(hint: Any, value: Any) -> bool:
    try:
        _convert(hint, value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


@cache
def _parser(hint: Any) -> ArgumentParser:
    """A parser of one value; the hint holds plain types only, so there is nothing to import or to instantiate."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    return parser


def _faithful(value: Any, converted: Any) -> bool:
    """Whether a conversion changed no more than list to tuple and int to float."""
    if isinstance(value, (list, tuple)):
        same = isinstance(converted, (list, tuple)) and len(value) == len(converted)
        return same and all(map(_faithful, value, converted))
    if isinstance(value, dict):
        same = isinstance(converted, dict) and value.keys() == converted.keys()
        return same and all(_faithful(item, converted[key]) for key, item in value.items())
    if type(value) is int:
        return type(converted) in (int, float)
    return type(converted) is type(value)
