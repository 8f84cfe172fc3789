"""Ablations from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sslkit.ablation.choose import executor_of
from sslkit.ablation.grid import GRID, Grid, axis_of, cells_of, seeds_of
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import plan
from sslkit.ablation.run_grid import How, run_grid
from sslkit.ablation.runner import Limits
from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.recipe.overrides import overrides_from


def ablate(
    recipe: str | Path | Mapping[str, Any],
    axes: Mapping[str, Mapping[str, Mapping[str, Any] | None] | Sequence[Any]],
    *,
    seeds: int | Sequence[int] = 1,
    metrics: Sequence[str] = (),
    design: str | Sequence[Mapping[str, str]] = GRID,
    baseline: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    out: str | Path = "ablations/python",
    jobs: int | None = None,
    executor: str = "local",
    submit: Mapping[str, Any] | None = None,
    limit: float | None = None,
    budget: float | None = None,
    retry: bool = False,
    stale: bool = False,
    plugins: Sequence[str | Path] | str | Path = (),
) -> pd.DataFrame:
    """Compare recipes that differ on named axes; the same call again continues.

    Args:
        recipe: a file, the bare name of a shipped recipe, or a recipe as plain data.
        axes: by axis either values of the recipe's key of that name, as in ``{"teacher": ["ema", "frozen_epoch"]}``, or
            overrides by the name of a choice, as in ``{"head": {"bn": {"head.use_bn": True}, "plain": None}}``.
        seeds: so many from 0 on, or those that are named; every cell has all of them.
        metrics: such as ``teacher/knn/k20_top1``, the first one first; empty: all, and in tables the first of each
            evaluator.
        design: ``grid``, ``one_at_a_time``, or the cells as choices by axis.
        baseline: choices by axis of the cell that others are compared with; by default the first of each axis.
        overrides: of every cell.
        out: the ablation's folder.
        jobs: runs at a time, each a process of its own; by default one, and on a cluster as many as it takes.
        executor: ``local``, ``submitit`` (SLURM) or ``ray``.
        submit: parameters of submitit, or options of Ray's tasks.
        limit: minutes after which a run has failed.
        budget: minutes after which no run begins, and those that run save and stop.
        retry: also runs that failed before.
        stale: make runs anew that other versions of sslkit or its plugins made.
        plugins: single-file plugins.

    Returns:
        One row a cell, seed and metric, as in ``results.csv``: ``cell``, a column an axis, ``seed``, ``status``,
        ``reason``, ``metric``, ``value``. A run that failed has one row without a metric, with its reason.

    Raises:
        UserError: for whatever a user can mend, before the first run begins.
        Stopped: if it was interrupted.
    """
    files = [home_path(file) for file in ([plugins] if isinstance(plugins, str | Path) else plugins)]
    choices = {key: axis_of(key, given) for key, given in axes.items()}
    fixed = tuple(overrides_from(overrides or {}))
    cells = cells_of(choices, design, baseline, fixed)
    source = str(recipe) if isinstance(recipe, Path) else recipe
    grid = Grid(source, cells, seeds_of(seeds), tuple(metrics), fixed=fixed)
    flags = [word for file in files for word in ("--plugin", str(file.absolute()))]
    registry = load_registry(files)
    members = plan(grid, registry)
    how = How(executor_of(executor, jobs, submit or {}), registry, flags, Limits(limit, budget), retry, stale)
    return run_grid(grid, members, Layout(home_path(out)), how)
