"""Runs a grid in a folder that is its own, and keeps the tables up to date."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sslkit.ablation.grid import Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.ablation.results import write_results
from sslkit.ablation.runner import Runner
from sslkit.engine.folder_lock import FolderLock


def run_grid(
    grid: Grid,
    members: Sequence[Member],
    layout: Layout,
    *,
    jobs: int = 1,
    flags: Sequence[str] = (),
    limit: float | None = None,
    retry: bool = False,
) -> pd.DataFrame:
    """Run what is not finished; ``results.csv`` and ``table.md`` are written anew after each run.

    Args:
        grid: what is compared.
        members: its runs, checked (:func:`sslkit.ablation.plan.plan`).
        layout: the folder.
        jobs, flags, limit, retry: see :class:`sslkit.ablation.runner.Runner`.

    Returns:
        the rows of ``results.csv``.

    Raises:
        UserError: if the folder is another's, or another process runs there.
        Stopped: after an interruption.
    """
    layout.make()
    lock = FolderLock(layout.path, f"--out {layout.path}: another process runs an ablation there; wait for it")
    try:
        runner = Runner(layout, jobs, flags, limit, retry)
        runner.run(members, ended=lambda: write_results(grid, members, layout))
        return write_results(grid, members, layout)
    finally:
        lock.release()
