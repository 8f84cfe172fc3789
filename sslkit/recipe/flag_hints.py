"""What an unknown flag of the command line probably means. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import fields

from sslkit.errors import nearest
from sslkit.plugins.manager import load_registry
from sslkit.plugins.source import parameters_of
from sslkit.recipe.schema import SECTIONS, Shape
from sslkit.recipe.synonyms import FLAGS, KEYS, SENTENCES

#: Sections whose parts have the options of another section's: the other one is meant.
_SECOND = frozenset({"eval_data", "predictor", "teacher_backbone", "teacher_head", "losses"})
_MOST = 3


def flag_hint(flag: str, flags: Collection[str], sections: Collection[str] = ()) -> str:
    """The end of an error sentence about a flag that does not exist.

    Args:
        flag: as typed, without its value.
        flags: the subcommand's own.
        sections: the recipe's sections that it takes.
    """
    word = _plain(flag)
    sentence = _sentence(word, flags)
    if sentence is not None:
        return sentence
    homes = [home for home in _homes(word, flags) if home in flags or home[2:].split(".")[0] in sections]
    if homes:
        return f"did you mean {_either(homes[:_MOST])}?"
    head, dot, tail = flag.partition(".")
    known = {name.lstrip("-"): name for name in [*(() if dot else flags), *(f"--{section}" for section in sections)]}
    close = nearest(head.lstrip("-"), known)
    if close.startswith("did you mean"):
        return re.sub(r"'([^']+)'", lambda name: f"'{known[name[1]]}{dot}{tail}'", close)
    if dot and sections:
        of_the_tail = flag_hint(f"--{tail.rpartition('.')[2]}", (), sections)
        if of_the_tail.startswith("did you mean"):
            return of_the_tail
    return nearest("", [*flags, *(f"--{section}" for section in sections)])


def homes_of(word: str) -> list[str]:
    """The keys of recipes that a bare word stands for: the engine's own first, then those that parts have, then what
    other tools call so; last an evaluator's option, since `--dataset` hardly means one.

    Args:
        word: such as ``lr`` or ``max_epochs``.
    """
    own = [
        f"{section.name}.{field.name}"
        for section in SECTIONS.values()
        for field in (fields(section.settings) if section.settings else ())
        if field.name == word
    ]
    of_parts, of_entries = _of_parts(word)
    return own or of_parts or [key for key, words in KEYS.items() if word in words.split()] or of_entries


def _plain(flag: str) -> str:
    return flag.lstrip("-").lower().replace("-", "_")


def _sentence(word: str, flags: Collection[str]) -> str | None:
    return next((said for words, flag, said in SENTENCES if flag in flags and word in words.split()), None)


def _homes(word: str, flags: Collection[str]) -> list[str]:
    """All that a flag may stand for, as flags, the likeliest first."""
    head, dot, tail = word.partition(".")
    if not dot:
        own = [flag for flag, words in FLAGS.items() if flag in flags and word in words.split()]
        homes = homes_of(word) or list(_sections_of_part(word))
        return own or [f"--{home}" for home in homes]
    named = [
        *_sections_of_part(head),
        *(key for key, words in KEYS.items() if "." not in key and head in words.split()),
    ]
    # `--trainer.max_epochs` is train.epochs, and `--optim.lr` is optimizer.lr
    deeper = [home for home in homes_of(tail) if home.split(".")[0] in [name.split(".")[0] for name in named]]
    return [f"--{home}" for home in deeper or [f"{name}.{tail}" for name in named]]


def _of_parts(word: str) -> tuple[list[str], list[str]]:
    """The keys whose parts have such an option: of sections that hold one part, and of entries by id (evaluators)."""
    having = {(part.kind, part.name) for part in load_registry().parts if word in parameters_of(part)}
    kinds = {kind for kind, _ in having}
    first = [section for section in SECTIONS.values() if section.name not in _SECOND and section.kind in kinds]
    keys = [f"{section.name}.{word}" for section in first if section.shape is Shape.PART]
    entries = [
        f"{section.name}.{name}.{word}" for section in first for kind, name in sorted(having) if kind == section.kind
    ]
    return keys, entries


def _sections_of_part(name: str) -> Iterator[str]:
    """Where a part of this name stands in a recipe: ``evaluate.knn``, ``backbone``."""
    registry = load_registry()
    for section in SECTIONS.values():
        if section.kind and section.name not in _SECOND and name in registry.names(section.kind):
            yield section.name if section.shape is Shape.PART else f"{section.name}.{name}"


def _either(names: list[str]) -> str:
    *most, last = [repr(name) for name in names]
    return f"{', '.join(most)} or {last}" if most else last
