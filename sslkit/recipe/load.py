"""Reads a recipe in two passes: names first, without torch; then the types of the parts that are named."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sslkit.errors import UserError, nearest
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registry
from sslkit.recipe.dump import in_order, plain
from sslkit.recipe.earlier import with_earlier
from sslkit.recipe.given import Layer
from sslkit.recipe.merge import Draft, Named, merge
from sslkit.recipe.model import Judging, Recipe
from sslkit.recipe.overrides import Override, override_layers
from sslkit.recipe.part_hints import part_hint
from sslkit.recipe.schema import DEFAULT_WATCH, SECTIONS, Shape
from sslkit.recipe.sections import typed_judging, typed_sections
from sslkit.recipe.settings import DEFAULT_PARAM_GROUPS
from sslkit.recipe.sources import source_layers


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[Override] = (), registry: Registry | None = None
) -> Recipe:
    """Read, merge and check a recipe; nothing is built.

    Args:
        source: a file, the name of a shipped recipe, or the recipe itself as a mapping.
        overrides: keys that are changed last.
        registry: the parts there are; by default those of the installed plugins.

    Returns:
        the recipe, complete and typed. ``resolved`` reads back as an equal recipe.

    Raises:
        UserError: one sentence with file, line and key, for every mistake.
    """
    registry = load_registry() if registry is None else registry
    shown = "recipe" if isinstance(source, Mapping) else str(source)
    draft = merge([_defaults(), *source_layers(source), *override_layers(overrides)])
    check_names(draft, registry, shown)
    recipe = typed_sections(draft, registry, shown)
    return replace(recipe, resolved=resolve(recipe, draft))


def load_judging(overrides: Sequence[Override], registry: Registry) -> Judging:
    """What judging a backbone from a file of weights needs, from overrides alone; ``backbone`` must be among them.

    Raises:
        UserError: as :func:`load_recipe` does.
    """
    draft = merge(override_layers(overrides))
    check_names(draft, registry, "the command line", frozenset({"backbone"}))
    return typed_judging(draft, registry, "the command line")


def _defaults() -> Layer:
    rules = {key: asdict(rule) for key, rule in DEFAULT_PARAM_GROUPS.items()}
    return Layer("the defaults of every recipe", {"param_groups": rules, "watch": {key: {} for key in DEFAULT_WATCH}})


_REQUIRED = frozenset({"loss", *(section.name for section in SECTIONS.values() if section.required)})


def check_names(draft: Draft, registry: Registry, source: str, required: frozenset[str] = _REQUIRED) -> None:
    """The first pass: whether the sections that must be there are, and whether all names are registered.

    Raises:
        UserError: located, with the nearest name.
    """
    for section in SECTIONS.values():
        if section.shape is Shape.PART and section.name != "loss":
            named = draft.slots.get(section.name)
            if named is not None:
                _check_name(named, section.kind, registry)
            elif section.name in required:
                raise _missing(section.name, section.kind, registry, source)
        if section.shape is Shape.PARTS:
            for entry in draft.parts.get(section.name, {}).values():
                if entry is not None:
                    _check_name(entry, section.kind, registry)
    if "loss" in required and not any(draft.parts.get("losses", {}).values()):
        raise _missing("loss", "loss", registry, source)


def completed(there: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """A resolved recipe that an older version wrote, with the options that have come since as they were meant.

    Args:
        there: as plain data.
        registry: the parts there are.

    Returns:
        the same as it is, if it is no recipe any more.
    """
    try:
        return load_recipe(with_earlier(there), (), registry).resolved
    except UserError:
        return there


def _check_name(named: Named, kind: str, registry: Registry) -> None:
    if named.name is None:
        for key in difflib.get_close_matches("name", named.options, n=1):
            raise named.options[key][-1].error(f"unknown key, and the {kind} has no name: did you mean 'name'?")
        raise named.at.error(f"which {kind}? Give it a name: {nearest('', registry.names(kind))}")
    try:
        registry.find(kind, named.name)
    except UserError as error:
        hint = part_hint(kind, named.name, named.at, registry)
        sentence = f"there is no {kind} {named.name!r}; {hint}" if hint else str(error)
        raise named.at.error(sentence) from error


def _missing(section: str, kind: str, registry: Registry, source: str) -> UserError:
    summary = SECTIONS[section].summary
    return UserError(
        f"{source}: {section}: a recipe needs this section: {summary}; {nearest('', registry.names(kind))}"
    )


def resolve(recipe: Recipe, draft: Draft) -> dict[str, Any]:
    """The recipe as plain data; what was removed of the defaults stays there as null."""
    data: dict[str, Any] = {name: plain(vars(recipe)[name]) for name in SECTIONS if name in vars(recipe)}
    data["losses"] = {
        key: {"name": loss.part.name, "weight": loss.weight, **plain(loss.part)} for key, loss in recipe.losses.items()
    }
    data["evaluate"] = {
        key: {"name": entry.part.name, **plain(entry.when), **plain(entry.part)}
        for key, entry in recipe.evaluate.items()
    }
    for section, defaults in (("param_groups", DEFAULT_PARAM_GROUPS), ("watch", dict.fromkeys(DEFAULT_WATCH))):
        present = draft.rules if section == "param_groups" else draft.parts[section]
        removed = {key: None for key in defaults if present.get(key) is None}
        data[section] = {**data[section], **removed}
    return in_order(data)
