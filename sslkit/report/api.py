"""``sslkit.fit``: the Python call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from
from sslkit.report.training import RunResult, fit_recipe


def fit(
    recipe: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    fresh: bool = False,
    extend: bool = False,
    plugins: Sequence[str | Path] | str | Path = (),
) -> RunResult:
    """Train from a recipe; the same call again continues an unfinished run.

    Args:
        recipe: a file, the bare name of a shipped recipe, or a recipe as plain data.
        overrides: dotted keys and values, as in ``{"head.use_bn": True}``.
        out: the run folder; by default ``runs/`` and the recipe's name.
        fresh: start from scratch; an older run in the folder is moved aside.
        extend: let the run in the folder have more (or fewer) epochs than it was begun with, from where it stands.
        plugins: single-file plugins to load besides the installed ones.

    Raises:
        UserError: for whatever a user can mend, in one sentence.
        RunError: if the run cannot go on.
        Stopped: if a signal stopped it.
    """
    registry = load_registry(plugins)
    loaded = load_recipe(recipe, overrides_from(overrides or {}), registry)
    return fit_recipe(loaded, home_path(out) if out else None, fresh, registry, extend)
