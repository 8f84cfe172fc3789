"""Options that came with another default than what was done before: runs that were begun before go on as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sslkit.recipe.model import Recipe
from sslkit.recipe.overrides import Override

#: What was done before an option came, by its key in the section ``preprocess``.
_EARLIER: dict[str, Any] = {"alpha": "drop"}
_SECTION = "preprocess"


def with_earlier(there: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run's resolved recipe with what was done before its options came: a resolved recipe leaves none out."""
    section = there.get(_SECTION)
    return {**there, _SECTION: {**_EARLIER, **section}} if isinstance(section, Mapping) else there


def is_earlier(key: str, value: object) -> bool:
    """Whether a value of a run's recipe is what was done before its option came."""
    section, _, option = key.partition(".")
    return section == _SECTION and _EARLIER.get(option) == value


def earlier_overrides(file: Path) -> list[Override]:
    """What a run's recipe leaves unsaid because an older version wrote it, as overrides of it.

    Args:
        file: the run's ``recipe.yaml``; nothing is said of one that cannot be read.
    """
    there = _read(file).get(_SECTION)
    if not isinstance(there, Mapping):
        return []
    return [Override(f"{_SECTION}.{key}", value) for key, value in _EARLIER.items() if key not in there]


def as_begun(recipe: Recipe, file: Path) -> Recipe:
    """A recipe with what was done before where a run was begun so, as far as the user says nothing of it now.

    Ranks must not call it while another one may write the file.

    Args:
        recipe: what is to be continued.
        file: the run's ``recipe.yaml``; the recipe stays as it is where there is none.
    """
    there = with_earlier(_read(file)).get(_SECTION, {})
    silent = [key for key in _EARLIER if f"{_SECTION}.{key}" not in recipe.places]
    begun = {key: _EARLIER[key] for key in silent if there.get(key) == _EARLIER[key]}
    if not begun:
        return recipe
    resolved = {**recipe.resolved, _SECTION: {**recipe.resolved[_SECTION], **begun}}
    return replace(recipe, preprocess=replace(recipe.preprocess, **begun), resolved=resolved)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        there = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return there if isinstance(there, Mapping) else {}
