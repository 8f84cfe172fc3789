"""What to write instead of a value that an option does not take: the end of an error sentence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from sslkit.errors import nearest
from sslkit.recipe.given import COMMAND_LINE, Given, Text, show
from sslkit.recipe.signature import members, nullable
from sslkit.recipe.synonyms import VALUES
from sslkit.recipe.yaml import read_value

#: Whether an option takes a value.
Fits = Callable[[Any], bool]


def value_hint(hint: Any, value: Any, given: Given, fits: Fits) -> str:
    """What to write, after a semicolon; empty where nothing is known.

    Args:
        hint: the option's annotation.
        value: what was given, as the option's type reads it.
        given: where.
        fits: whether the option takes a value.
    """
    said = _choice(hint, value) or _null(hint, value) or _several(value, given, fits) or _single(hint, value, fits)
    return f"; {said}" if said else ""


def choices(hint: Any) -> list[str]:
    """The words that an option may be."""
    literals = [kind for kind in members(hint) if get_origin(kind) is Literal]
    return [choice for kind in literals for choice in get_args(kind) if isinstance(choice, str)]


def _choice(hint: Any, value: Any) -> str:
    """For an option of a few words: the one that is meant."""
    known = choices(hint)
    if not known or not isinstance(value, (str, int)):
        return ""
    for pattern, choice, said in VALUES:
        match = re.fullmatch(pattern, str(value).lower())
        if match and choice in known:
            return match.expand(said)
    near = nearest(str(value), known)
    return near if near.startswith("did you mean") else ""


def _null(hint: Any, value: Any) -> str:
    return "write null" if value in ("None", "none", "Null", "nil") and nullable(hint) else ""


def _several(value: Any, given: Given, fits: Fits) -> str:
    """For ``5,7``, ``(5, 7)``, ``5 7`` or ``a=1,b=2``: the list or the mapping as YAML writes it."""
    if not isinstance(value, str):
        return ""
    words = [word for word in re.split(r"[,;\s]+", value.strip(" ()[]{}")) if word]
    read = [_read(word) for word in words]
    if words not in ([], [value]) and fits(read):
        return _written(f"[{', '.join(words)}]", given)
    pairs = [re.split(r"[:=]", word, maxsplit=1) for word in words]
    if words and all(len(pair) == 2 and all(pair) for pair in pairs) and fits({key: _read(of) for key, of in pairs}):
        return _written(f"{{{', '.join(': '.join(pair) for pair in pairs)}}}", given)
    return ""


def _read(word: str) -> Any:
    value = read_value(word, "")
    return value.reading if isinstance(value, Text) else value


def _written(text: str, given: Given) -> str:
    """What to write; on a command line also as the shell needs it, where that is another thing."""
    quoted = f", in quotes: {given.key} {shlex.quote(text)}" if given.layer.file == COMMAND_LINE else ""
    return f"write {text}{quoted if ' ' in text else ''}"


def _single(hint: Any, value: Any, fits: Fits) -> str:
    """For a single value where a list of it is meant, or where only quotes make it text."""
    if str in members(hint) and isinstance(value, (int, float)):
        return f"quote it if text is meant: '{show(value)}'"
    lists = [kind for kind in members(hint) if get_origin(kind) in (list, tuple)]
    if not lists or value is None or isinstance(value, (list, dict)):
        return ""
    kinds = get_args(lists[0])
    count = len(kinds) if get_origin(lists[0]) is tuple and Ellipsis not in kinds else 1
    return f"write [{', '.join([show(value)] * count)}]" if fits([value] * count) else ""
