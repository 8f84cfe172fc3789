"""Merges the layers of a recipe by key: defaults, base files, the file, overrides. Free of torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sslkit.errors import nearest
from sslkit.recipe.given import Given, Layer, Text, show
from sslkit.recipe.schema import SECTIONS, Section, Shape

#: Every layer's value of every key, oldest first.
Stacks = dict[str, list[Given]]


@dataclass
class Named:
    """A part as the layers name it, before its class is known.

    Attributes:
        name: its registered name; None where options were given but no name.
        at: where it was named.
        options: what was given for its options since it was named.
    """

    name: str | None
    at: Given
    options: Stacks = field(default_factory=dict)


@dataclass
class Rule:
    """An entry of ``param_groups``: where it was first given, and its keys."""

    at: Given
    options: Stacks = field(default_factory=dict)


@dataclass
class Draft:
    """A merged recipe: names and raw values. A removed entry stays as None, so that it keeps its place.

    Attributes:
        slots: the sections that hold one part.
        parts: the sections that hold parts by id.
        rules: ``param_groups``.
        settings: the sections with keys of their own, and ``seed`` under its own name.
        notes: what overrides dropped.
    """

    slots: dict[str, Named | None] = field(default_factory=dict)
    parts: dict[str, dict[str, Named | None]] = field(default_factory=dict)
    rules: dict[str, Rule | None] = field(default_factory=dict)
    settings: dict[str, Stacks] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def merge(layers: list[Layer]) -> Draft:
    """Fold the layers, oldest first.

    Raises:
        UserError: for an unknown section or a value of the wrong shape.
    """
    draft = Draft()
    for layer in layers:
        for key, given in layer.root().children().items():
            if key not in SECTIONS:
                raise given.error(f"there is no such section; {_hint(key)}")
            if key == "losses" and "loss" in layer.data:
                raise given.error("both loss and losses are given; move the loss into losses")
            _FOLD[SECTIONS[key].shape](draft, SECTIONS[key], given)
    return draft


def _hint(key: str) -> str:
    if "." in key and key.split(".")[0] in SECTIONS:
        outer, inner = key.split(".", 1)
        return f"in a file write it nested: `{outer}: {{{inner}: ...}}`"
    near = nearest(key, SECTIONS)
    if near.startswith("did you mean"):
        return near
    from sslkit.recipe.flag_hints import homes_of  # here: only a mistake needs the options of all parts

    return next((f"did you mean {home!r}?" for home in homes_of(key)), near)


def _fold_number(draft: Draft, section: Section, given: Given) -> None:
    draft.settings.setdefault(section.name, {}).setdefault(section.name, []).append(given)


_WHEN_TO_SAVE = (
    "this section says when to save; to continue a run leave it out: the same command again continues an unfinished "
    "run from its newest checkpoint"
)


def _fold_settings(draft: Draft, section: Section, given: Given) -> None:
    stacks = draft.settings.setdefault(section.name, {})
    if section.name == "checkpoint" and isinstance(given.word, str):
        raise given.error(_WHEN_TO_SAVE)
    _push(stacks, _mapping(given, f"{{{next(iter(_fields(section)))}: ...}}").children())


def _fields(section: Section) -> list[str]:
    return [field.name for field in dataclasses.fields(section.settings)] if section.settings else ["key"]


def _fold_slot(draft: Draft, section: Section, given: Given) -> None:
    if section.name == "loss":
        _fold_single_loss(draft, given)
    elif given.word is None:
        draft.slots[section.name] = None
    else:
        draft.slots[section.name] = _renamed(draft, draft.slots.get(section.name), given, section.kind, default=None)


def _fold_parts(draft: Draft, section: Section, given: Given) -> None:
    entries = draft.parts.setdefault(section.name, {})
    if given.word is None:
        entries.update(dict.fromkeys(entries))
        return
    if isinstance(given.value, Text) and given.value.raw.isidentifier():
        raise given.error(f"expected entries by id; write {given.key}.{given.value.raw} {{}}")
    for key, entry in _mapping(given, f"{{{section.kind}_name: {{}}}}").children().items():
        if entry.word is None:
            _check_removable(entry, entries)
            entries[key] = None
        else:
            entries[key] = _renamed(draft, entries.get(key), entry, section.kind, default=key)


def _fold_single_loss(draft: Draft, given: Given) -> None:
    """``loss`` is the one loss: it goes on with the only one there is, or takes the place of all."""
    entries = draft.parts.setdefault("losses", {})
    if given.word is None:
        raise given.error("a recipe needs a loss; name one")
    present = [key for key, entry in entries.items() if entry is not None]
    only = present[0] if len(present) == 1 else None
    named = isinstance(given.word, str) or (isinstance(given.value, dict) and "name" in given.value)
    if len(present) > 1 and not named:
        raise given.error(f"this recipe has several losses ({', '.join(present)}); write losses.{present[0]} ...")
    entry = _renamed(draft, entries.get(only) if only else None, given, "loss", default=None)
    if entry.name is not None and only is not None and (old := entries[only]) is not None and entry.name == old.name:
        entries[only] = entry
        return
    if given.layer.override and len(present) > 1:
        draft.notes.append(f"{given.key} {entry.name} replaces {_listed(present)}")
    entries.update(dict.fromkeys(present))
    entries[(entry.name or "loss").rpartition(":")[2]] = entry


def _fold_rules(draft: Draft, section: Section, given: Given) -> None:
    """New rules go before all older ones, since the first that matches counts."""
    if given.word is None:
        draft.rules = dict.fromkeys(draft.rules)
        return
    new: dict[str, Rule | None] = {}
    for key, entry in _mapping(given, "{rule_name: {match: '*.bias', weight_decay: 0}}").children().items():
        if entry.word is None:
            _check_removable(entry, draft.rules)
            draft.rules[key] = None
            continue
        options = _mapping(entry, "{match: '*.bias', weight_decay: 0}").children()
        home = draft.rules if key in draft.rules else new
        rule = home.get(key) or Rule(entry)
        _push(rule.options, options)
        home[key] = rule
    draft.rules = {**new, **draft.rules}


def _renamed(draft: Draft, old: Named | None, given: Given, kind: str, default: str | None) -> Named:
    """A part after one more layer: another name drops the older options, the same name keeps them."""
    options: dict[str, Given] = {}
    name = given.word
    if isinstance(given.value, dict):
        options = given.children()
        name = options.pop("name").word if "name" in options else (old.name if old else default)
    if isinstance(name, (dict, list)) or not (name is None or (isinstance(name, str) and name.strip())):
        raise given.error(f"expected the name of a {kind}, or a mapping with its name and options, got {show(name)}")
    if isinstance(given.value, dict) and "name" in given.value and name is None:
        raise given.child("name", None).error(f"expected the name of a {kind}, got null")
    named = old
    if named is None or named.name != name:
        if named is not None and named.options and given.layer.override:
            it = "is" if len(named.options) == 1 else "are"
            draft.notes.append(f"{given.key} {name} replaces {named.name}: its {_listed(named.options)} {it} dropped")
        named = Named(name, given)
    merged = Named(named.name, named.at, {key: list(stack) for key, stack in named.options.items()})
    _push(merged.options, options)
    return merged


def _check_removable(given: Given, present: dict[str, Any]) -> None:
    if given.path[-1] not in present:
        raise given.error(f"null removes an entry, but there is none of this id; {nearest(given.path[-1], present)}")


def _push(stacks: Stacks, values: dict[str, Given]) -> None:
    for key, given in values.items():
        stacks.setdefault(key, []).append(given)


def _mapping(given: Given, example: str) -> Given:
    if isinstance(given.value, dict):
        return given
    value = given.value.reading if isinstance(given.value, Text) else given.value
    raise given.error(f"expected a mapping such as {example}, got {'nothing' if value is None else show(value)}")


def _listed(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else str(last)


_FOLD: dict[Shape, Callable[[Draft, Section, Given], None]] = {
    Shape.NUMBER: _fold_number,
    Shape.PART: _fold_slot,
    Shape.PARTS: _fold_parts,
    Shape.RULES: _fold_rules,
    Shape.KEYS: _fold_settings,
}
