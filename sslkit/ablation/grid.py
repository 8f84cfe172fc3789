"""A grid of recipes: axes of named overrides, and the cells that a design picks of them. Nothing is checked against
parts here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslkit.errors import UserError, nearest
from sslkit.recipe.given import show
from sslkit.recipe.overrides import Override, overrides_from
from sslkit.recipe.plain_data import plain_data

GRID, ONE_AT_A_TIME = "grid", "one_at_a_time"
_SEEDS = "every cell runs with all seeds of the ablation: use --seeds N, or seeds in a grid"
#: By axis, by the name of a choice, the overrides that it stands for.
Axes = Mapping[str, Mapping[str, tuple[Override, ...]]]


@dataclass(frozen=True)
class Cell:
    """One setting of all axes.

    Attributes:
        choices: the name of the choice on each axis.
        overrides: what it changes in the recipe.
    """

    choices: Mapping[str, str]
    overrides: tuple[Override, ...]

    @property
    def name(self) -> str:
        """Such as ``teacher=ema head.use_bn=false``."""
        return " ".join(f"{axis}={choice}" for axis, choice in self.choices.items())

    def beside(self, baseline: Cell) -> str:
        """Its name in a table that the baseline opens: what differs from it."""
        differing = {axis: choice for axis, choice in self.choices.items() if choice != baseline.choices[axis]}
        return " ".join(f"{axis}={choice}" for axis, choice in differing.items()) or self.name


@dataclass(frozen=True)
class Grid:
    """What is to be compared.

    Attributes:
        recipe: the recipe that cells change: a name, a file, or plain data.
        cells: in the order of the tables; the first is the baseline.
        seeds: every cell runs with each of them, so that differences are of pairs.
        metrics: numbers of evaluators, such as ``teacher/knn/k20_top1``, the first one first; empty: the first
            of each evaluator.
        budget: minutes after which no run begins and those that run save and stop; None: never.
        fixed: what the overrides of all cells begin with.
    """

    recipe: str | Mapping[str, Any]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...] = ()
    budget: float | None = None
    fixed: tuple[Override, ...] = ()


def cells_of(
    axes: Axes,
    design: str | Sequence[Mapping[str, str]] = GRID,
    baseline: Mapping[str, str] | None = None,
    fixed: Sequence[Override] = (),
) -> tuple[Cell, ...]:
    """The cells of a design, the baseline first.

    Args:
        axes: at least one, each with at least one choice.
        design: ``grid``: every combination; ``one_at_a_time``: the baseline, and all that differ from it on one axis;
            or the cells themselves, as choices by axis (an axis that is left out is at its baseline).
        baseline: choices by axis; an axis that is left out is at its first.
        fixed: overrides of every cell; where a choice sets the same key, the choice counts.

    Raises:
        UserError: for an empty axis, an axis or choice that does not exist, a cell that is given twice, or an override
            that no cell would have.
    """
    _check_fixed(axes, fixed)
    if not axes:
        raise UserError("axes: there is none; name at least one, as in teacher: {ema: ..., frozen_epoch: ...}")
    for axis, choices in axes.items():
        if not choices:
            raise UserError(f"axes.{axis}: it has no choices; name at least one")
        if any(override.key == "seed" for choice in choices.values() for override in choice):
            raise UserError(f"axes.{axis}: a choice sets the seed, but {_SEEDS}")
    base = {axis: next(iter(choices)) for axis, choices in axes.items()} | _checked(axes, baseline or {}, "baseline")
    if design == GRID:
        picked = [dict(zip(axes, names, strict=True)) for names in itertools.product(*axes.values())]
    elif design == ONE_AT_A_TIME:
        picked = [base | {axis: name} for axis, choices in axes.items() for name in choices if name != base[axis]]
    elif isinstance(design, str):
        raise UserError(
            f"design: {design!r} is neither a design nor a list of cells; {nearest(design, (GRID, ONE_AT_A_TIME))}"
        )
    else:
        picked = [base | _checked(axes, cell, f"design[{number}]") for number, cell in enumerate(design)]
        twice = next((cell for cell in picked if picked.count(cell) > 1), None)
        if twice is not None:
            raise UserError(f"design: the cell {twice} is given twice")
    ordered = [base, *(cell for cell in picked if cell != base)]
    return tuple(Cell(cell, (*fixed, *_overrides(axes, cell))) for cell in ordered)


def axis_of(key: str, given: Mapping[str, Mapping[str, Any] | None] | Sequence[Any]) -> dict[str, tuple[Override, ...]]:
    """The choices of an axis.

    Args:
        key: the axis's name.
        given: overrides by the name of a choice (None: none); or values of the recipe's key that the axis is called by.

    Raises:
        UserError: if it is neither, or a value is given twice.
    """
    if isinstance(given, Mapping):
        wrong = next((name for name, of in given.items() if not isinstance(of, Mapping | None)), None)
        if wrong is not None:
            raise UserError(
                f"axes.{key}.{wrong}: {given[wrong]!r} is no mapping of overrides, as in {{head.use_bn: true}}"
            )
        return {name: tuple(overrides_from(of or {})) for name, of in given.items()}
    given = plain_data(given, f"axes.{key}")
    if not isinstance(given, list):
        raise UserError(f"axes.{key}: {given!r} is neither a list of values nor a mapping of named overrides")
    choices: dict[str, tuple[Override, ...]] = {
        value if isinstance(value, str) else show(value): (Override(key, value),) for value in given
    }
    if len(choices) < len(given):
        raise UserError(f"axes.{key}: a value is given twice")
    return choices


def _overrides(axes: Axes, cell: Mapping[str, str]) -> list[Override]:
    return [override for axis, name in cell.items() for override in axes[axis][name]]


def _checked(axes: Axes, cell: Mapping[str, str], where: str) -> dict[str, str]:
    for axis, name in cell.items():
        if axis not in axes:
            raise UserError(f"{where}: there is no axis {axis!r}; {nearest(axis, axes)}")
        if name not in axes[axis]:
            raise UserError(f"{where}: the axis {axis!r} has no choice {name!r}; {nearest(str(name), axes[axis])}")
    return dict(cell)


def _check_fixed(axes: Axes, fixed: Sequence[Override]) -> None:
    """Refuse overrides that would be without effect."""
    for override in fixed:
        shown = f"--{override.key}" if override.from_command_line else f"overrides.{override.key}"
        if override.key == "seed":
            raise UserError(f"{shown}: {_SEEDS}")
        for axis, choices in axes.items():
            if choices and all(override.key in {own.key for own in choice} for choice in choices.values()):
                raise UserError(f"{shown}: every choice of the axis {axis!r} sets this key: leave one of both out")


def seeds_of(given: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds: so many from 0 on, or those that are named.

    Raises:
        UserError: if there are none, or one is given twice.
    """
    plain = plain_data(given, "seeds")
    seeds = tuple(range(plain)) if isinstance(plain, int) else tuple(plain if isinstance(plain, list) else ())
    if not seeds or len(set(seeds)) < len(seeds) or any(isinstance(s, bool) or not isinstance(s, int) for s in seeds):
        raise UserError(f"seeds: {given!r} must be a number of 1 or more, or a list of different whole numbers")
    return seeds
