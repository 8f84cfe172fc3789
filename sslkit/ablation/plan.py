"""Checks every cell before the first one runs, and says which runs there are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sslkit.ablation.check import Checker
from sslkit.ablation.code import code_of
from sslkit.ablation.grid import Cell, Grid
from sslkit.errors import UserError, nearest
from sslkit.parts.effect import Effect
from sslkit.plugins.registry import Registry
from sslkit.recipe.continuing import effects_of
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe


@dataclass(frozen=True)
class Member:
    """A cell with one seed.

    Attributes:
        cell: which.
        seed: of all its draws.
        resolved: the complete recipe, as plain data.
        folder: the name of its run's folder; members that are equal in everything share one.
        steps: optimizer steps of its run.
        code: versions of what makes it (:func:`sslkit.ablation.code.code_of`).
        effects: the marks of its options (:func:`sslkit.recipe.continuing.effects_of`).
    """

    cell: Cell
    seed: int
    resolved: Mapping[str, Any]
    folder: str
    steps: int
    code: Mapping[str, str]
    effects: Mapping[str, Effect] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Of its run."""
        return int(self.resolved["train"]["epochs"])


def plan(grid: Grid, registry: Registry) -> list[Member]:
    """Every cell with every seed, in the order of the tables.

    Raises:
        UserError: with the cell's name in front, for whatever its recipe or a part refuses (everything is built once);
            and for a metric that none of its evaluators gives.
    """
    members: list[Member] = []
    checker = Checker()
    shared: dict[str, str] = {}
    for cell in grid.cells:
        try:
            recipe = load_recipe(grid.recipe, cell.overrides, registry)
            _check_metrics(recipe, grid.metrics)
            _check_ends(recipe)
            steps, code = checker.steps(recipe), code_of(recipe)
        except UserError as error:
            raise UserError(f"cell {cell.name!r}: {error}") from error
        for seed in grid.seeds:
            resolved = {**recipe.resolved, "seed": seed}
            own = _folder(f"{cell.name} seed={seed}", set(shared.values()))
            folder = shared.setdefault(json.dumps(resolved, sort_keys=True), own)
            members.append(Member(cell, seed, resolved, folder, steps, code, effects_of(recipe)))
    return members


def _folder(name: str, taken: set[str]) -> str:
    """A name for a folder: names that differ only in what no folder can hold get a number."""
    plain = re.sub(r"[^A-Za-z0-9=._-]+", "_", name)[:150]
    number = 2
    while plain in taken:
        plain, number = f"{plain}-{number}", number + 1
    return plain


def _check_ends(recipe: Recipe) -> None:
    if recipe.train.max_steps is not None:
        raise UserError(
            f"{recipe.place('train.max_steps')}: {recipe.train.max_steps}: a run that is cut short has no results to "
            "compare; make runs shorter with train.epochs"
        )


def _check_metrics(recipe: Recipe, metrics: tuple[str, ...]) -> None:
    # without a teacher the student is judged in its place (sslkit.evaluation.runner)
    nets = {key: spec.when.which if recipe.teacher else ("student",) for key, spec in recipe.evaluate.items()}
    owners = {f"{net}/{key}" for key, which in nets.items() for net in which}
    for metric in metrics:
        owner = metric.rpartition("/")[0]
        if owner not in owners:
            raise UserError(f"metrics: {metric}: no evaluator gives it; {nearest(owner, owners)}")
