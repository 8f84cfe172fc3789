"""What earlier commands have left in an ablation's folder, and whether it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sslkit.ablation.code import difference
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.engine.run_folder import Complete
from sslkit.errors import UserError
from sslkit.recipe.continuing import Kind, Pair, changes_between, listed
from sslkit.recipe.earlier import is_earlier

#: Changes that leave a run's results what they are.
_HARMLESS = (Kind.FREE, Kind.ROUNDING)
#: Sections that change no training, and yet what the results are.
_MATTER = ("evaluate.", "eval_data.")


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
        differing = _differing(complete(there), member) if isinstance(there, Mapping) else {}
        if differing:
            raise UserError(
                f"{layout.run(name)} holds a run of another recipe ({listed(differing)}): this is the folder of "
                "another ablation; give the overrides that it was begun with, or name another folder with --out"
            )


def _differing(there: Mapping[str, Any], member: Member) -> dict[str, Pair]:
    changes = changes_between(there, member.resolved, member.effects)
    return {
        key: pair
        for kind in Kind
        for key, pair in changes.of(kind).items()
        if (kind not in _HARMLESS and not is_earlier(key, pair[0])) or f"{key}.".startswith(_MATTER)
    }


def stale_runs(layout: Layout, members: Mapping[str, Member]) -> dict[str, str]:
    """Runs that other code began, and what differs, by name."""
    found = {}
    for name, member in members.items():
        before = layout.code(name)
        if before is not None and layout.status(name)[0] != "open" and (told := difference(before, member.code)):
            found[name] = told
    return found
