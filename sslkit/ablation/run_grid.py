"""Runs a grid in a folder that is its own, and keeps tables and report up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from sslkit.ablation.earlier import refuse_other, stale_runs
from sslkit.ablation.executors import Executor
from sslkit.ablation.grid import Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.ablation.results import write_results
from sslkit.ablation.runner import Limits, Runner
from sslkit.engine.folder_lock import FolderLock
from sslkit.plugins.registry import Registry
from sslkit.recipe.load import completed
from sslkit.report.console import say


@dataclass(frozen=True)
class How:
    """How a grid is run.

    Attributes:
        executor: makes the place where runs happen, once the folder is there.
        registry: the parts there are.
        flags: words for every run, such as ``--plugin FILE``.
        limits: when to give up.
        retry: whether runs that failed are tried again.
        stale: whether runs that other code made are made anew.
    """

    executor: Callable[[Layout], Executor]
    registry: Registry
    flags: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    retry: bool = False
    stale: bool = False


def run_grid(grid: Grid, members: Sequence[Member], layout: Layout, how: How) -> pd.DataFrame:
    """Run what is not finished; ``results.csv``, ``table.md`` and ``report.html`` are written anew after each run.

    Args:
        grid: what is compared.
        members: its runs, checked (:func:`sslkit.ablation.plan.plan`).
        layout: the folder.
        how: see :class:`How`.

    Returns:
        the rows of ``results.csv``.

    Raises:
        UserError: if the folder is another's, or another process runs there.
        Stopped: after an interruption.
    """
    layout.make()
    lock = FolderLock(layout.path, f"--out {layout.path}: {{who}} runs an ablation there; wait for it")
    try:
        runs = {member.folder: member for member in members}
        refuse_other(layout, runs, partial(completed, registry=how.registry))
        runner = Runner(
            layout,
            how.executor(layout),
            runs,
            fresh=_again(layout, runs, how),
            flags=how.flags,
            limits=how.limits,
            metric=grid.metrics[0] if grid.metrics else None,
        )
        runner.run(ended=lambda: write_results(grid, members, layout))
        return write_results(grid, members, layout)
    finally:
        lock.release()


def _again(layout: Layout, runs: dict[str, Member], how: How) -> list[str]:
    """Runs that ended, and are done anew or tried again as asked."""
    stale = stale_runs(layout, runs)
    if stale and not how.stale:
        name, told = next(iter(stale.items()))
        more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
        say(f"{name}{more}: made by other code ({told}); kept: --stale makes them anew")
    for name in runs:
        if layout.status(name)[0] == "failed" and (how.retry or (how.stale and name in stale)):
            layout.forgive(name)
    return [name for name in stale if layout.summary(name)] if how.stale else []
