"""What the runs of a grid found: gathered as tidy rows, and written down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sslkit.ablation.grid import Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.ablation.report import report
from sslkit.ablation.table import table
from sslkit.engine.files import write_text
from sslkit.evaluation.intervals import Tally
from sslkit.report.tallies import read_tallies


def collect(members: Sequence[Member], layout: Layout, metrics: Sequence[str]) -> pd.DataFrame:
    """One row a cell, seed and metric; a run without numbers has one row that says why.

    Columns: ``cell``, one for each axis, ``seed``, ``status`` (``finished``, ``failed``, ``open``), ``reason`` (of a
    failure; of a finished run what it warned of, such as a collapse), ``metric``, ``value``.
    """
    rows: list[dict[str, Any]] = []
    for member in members:
        status, reason = layout.status(member.folder)
        if status == "finished":
            reason = layout.told(member.folder)
        head = {
            "cell": member.cell.name,
            **member.cell.choices,
            "seed": member.seed,
            "status": status,
            "reason": reason,
        }
        found = _numbers(layout.summary(member.folder), metrics) if status == "finished" else {}
        rows += [{**head, "metric": metric, "value": value} for metric, value in found.items()]
        if not found:
            rows.append({**head, "metric": "", "value": math.nan})
    return pd.DataFrame(rows)


def _numbers(summary: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, float]:
    """The evaluators' numbers of a finished run; ``student/`` stands in where there is no teacher."""
    found = {key: float(value) for key, value in summary.items() if key.startswith(("teacher/", "student/"))}
    return {key: found[key] for key in metrics if key in found} if metrics else found


def tallies_of(members: Sequence[Member], layout: Layout) -> dict[str, dict[str, Tally]]:
    """Which test images the runs classified correctly, by cell and metric; empty where cells have several seeds, whose
    spread says more, or do not share their test images with the baseline."""
    if len({member.seed for member in members}) > 1:
        return {}
    alike = [member for member in members if _images_of(member) == _images_of(members[0])]
    found = {}
    for member in alike:
        summary = layout.summary(member.folder)
        found[member.cell.name] = read_tallies(layout.run(member.folder), summary["steps"]) if summary else {}
    return found


def _images_of(member: Member) -> tuple[Any, ...]:
    return tuple(member.resolved.get(key) for key in ("data", "eval_data"))


def write_results(grid: Grid, members: Sequence[Member], layout: Layout) -> pd.DataFrame:
    """Write ``results.csv``, ``table.md`` and ``report.html``, each in one step, and return the rows."""
    frame, tallies = collect(members, layout, grid.metrics), tallies_of(members, layout)
    write_text(layout.path / "results.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_text(layout.path / "table.md", table(grid, frame, tallies))
    write_text(layout.path / "report.html", report(grid, members, layout, frame, tallies))
    return frame
