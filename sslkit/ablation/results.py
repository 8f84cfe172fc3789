"""What the runs of a grid found, as a tidy table and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sslkit.ablation.grid import Cell, Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.ablation.statistics import mean_and_deviation, paired_difference
from sslkit.engine.files import write_text

#: By cell name, by seed.
Values = Mapping[str, Mapping[int, float]]


def collect(members: Sequence[Member], layout: Layout, metrics: Sequence[str]) -> pd.DataFrame:
    """One row a cell, seed and metric; a run without numbers has one row that says why.

    Columns: ``cell``, one for each axis, ``seed``, ``status`` (``finished``, ``failed``, ``open``), ``reason``,
    ``metric``, ``value``.
    """
    rows: list[dict[str, Any]] = []
    for member in members:
        status, reason = layout.status(member.folder)
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


def write_results(grid: Grid, members: Sequence[Member], layout: Layout) -> pd.DataFrame:
    """Write ``results.csv`` and ``table.md``, each in one step, and return the rows."""
    frame = collect(members, layout, grid.metrics)
    write_text(layout.path / "results.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_text(layout.path / "table.md", table(grid, frame))
    return frame


def table(grid: Grid, frame: pd.DataFrame) -> str:
    """A markdown table a metric, and what did not finish."""
    measured = [name for name in dict.fromkeys(frame["metric"]) if name]
    order = [name for name in grid.metrics if name in measured] or measured
    lines = [
        "Mean and standard deviation over seeds. The difference to the first cell is over pairs of runs with one",
        "seed, with its 95% t-interval; where that includes zero it is marked ~: it may be chance. Bold: the best",
        "cell, where its difference to the first is separated from zero.",
        "",
    ]
    for metric in order:
        rows = frame[frame["metric"] == metric]
        values = {
            str(cell): dict(zip(group["seed"], group["value"], strict=True)) for cell, group in rows.groupby("cell")
        }
        lines += [f"## {metric}", "", *_metric_table(grid.cells, values), ""]
    open_runs = frame[frame["status"] != "finished"]
    if len(open_runs):
        lines += ["## Not finished", ""]
        lines += [
            f"- {row.cell}, seed {row.seed}: {row.status}. {row.reason}".rstrip(". ") for row in open_runs.itertuples()
        ]
    return "\n".join(lines).rstrip() + "\n"


def _metric_table(cells: Sequence[Cell], values: Values) -> list[str]:
    baseline = values.get(cells[0].name, {})
    means = {cell: mean_and_deviation(list(of.values()))[0] for cell, of in values.items()}
    best = max(means, key=lambda cell: means[cell])
    lines = [
        "| cell | mean | deviation | n | difference | 95% interval | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        own = values.get(cell.name)
        if not own:
            lines.append(f"| {cell.name} | - | - | 0 | - | - | |")
            continue
        mean, deviation = mean_and_deviation(list(own.values()))
        gap = paired_difference(own, baseline) if cell is not cells[0] else None
        shown = f"**{mean:.2f}**" if cell.name == best and gap is not None and gap.separated else f"{mean:.2f}"
        row = [cell.name, shown, _number(deviation), str(len(own))]
        if gap is None:
            row += ["", "", ""]
        else:
            row += [f"{gap.mean:+.2f}", f"{_number(gap.low)} to {_number(gap.high)}", "" if gap.separated else "~"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
