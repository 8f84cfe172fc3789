"""What earlier commands have left in an ablation's folder, and whether it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sslkit.ablation.code import difference
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.engine.run_folder import FREE_KEYS, Complete, flat_recipe
from sslkit.errors import UserError

#: Of the keys that a continued run may change, those that change what its numbers are.
_MATTER = ("evaluate", "eval_data")


def refuse_other(layout: Layout, members: Mapping[str, Member], complete: Complete) -> None:
    """Numbers of another recipe would be told under a cell's name.

    Args:
        layout: the folder.
        members: its runs, by name.
        complete: adds the options that have come since to a recipe that is there.

    Raises:
        UserError: if a folder holds a run of another recipe, or one that is judged otherwise.
    """
    for name, member in members.items():
        try:
            there = yaml.safe_load((layout.run(name) / "recipe.yaml").read_text("utf-8"))
        except (OSError, yaml.YAMLError):
            continue
        differing = _differing(complete(there), member.resolved) if isinstance(there, Mapping) else ()
        if differing:
            key, old, new = differing
            raise UserError(
                f"{layout.run(name)} holds a run of another recipe ({key}: {old} there, {new} now): this is the folder "
                "of another ablation; name another one with --out"
            )


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any] | tuple[()]:
    before, now = flat_recipe(old), flat_recipe(new)
    free = tuple(key for key in FREE_KEYS if key not in _MATTER)
    for key in [*now, *before]:
        pair = before.get(key, "absent"), now.get(key, "absent")
        if pair[0] != pair[1] and not key.startswith(free):
            return key, *pair
    return ()


def stale_runs(layout: Layout, members: Mapping[str, Member]) -> dict[str, str]:
    """Runs that other code began, and what differs, by name."""
    found = {}
    for name, member in members.items():
        before = layout.code(name)
        if before is not None and layout.status(name)[0] != "open" and (told := difference(before, member.code)):
            found[name] = told
    return found
