"""The table of an ablation, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sslkit.ablation.grid import Cell, Grid
from sslkit.ablation.statistics import Difference, mean_and_deviation, paired_difference

#: By cell name, by seed.
Values = Mapping[str, Mapping[int, float]]
EXPLAINED = (
    "Mean and standard deviation over n seeds. The difference to the first cell is over pairs of runs with one seed, "
    "with its 95% t-interval; where that includes zero it is marked ~: it may be chance. Bold: the highest mean, where "
    "the difference to every other cell is separated from zero."
)


@dataclass(frozen=True)
class Line:
    """A cell's line for one metric.

    Attributes:
        cell: which.
        name: as told beside the baseline.
        mean: over seeds; NaN where no run has finished.
        deviation: over seeds; NaN of fewer than two.
        count: how many seeds.
        gap: to the baseline; None for the baseline itself, or without a common seed.
        best: whether its mean is the highest, and separated from that of every other cell.
    """

    cell: Cell
    name: str
    mean: float
    deviation: float
    count: int
    gap: Difference | None
    best: bool


def metrics_of(grid: Grid, frame: pd.DataFrame) -> list[str]:
    """The metrics that were measured, in the order of the grid; where it names none, the first of each evaluator."""
    measured = [name for name in dict.fromkeys(frame["metric"]) if name]
    first: dict[str, str] = {}
    for name in measured:
        first.setdefault(name.rpartition("/")[0], name)
    return [name for name in grid.metrics if name in measured] or list(first.values())


def lines_of(cells: Sequence[Cell], frame: pd.DataFrame, metric: str) -> list[Line]:
    """A line a cell, in order."""
    rows = frame[frame["metric"] == metric]
    values: Values = {
        str(cell): dict(zip(group["seed"], group["value"], strict=True)) for cell, group in rows.groupby("cell")
    }
    base, best = values.get(cells[0].name, {}), _best(values)
    lines = []
    for cell in cells:
        own = values.get(cell.name, {})
        mean, deviation = mean_and_deviation(list(own.values())) if own else (math.nan, math.nan)
        gap = paired_difference(own, base) if cell is not cells[0] else None
        lines.append(Line(cell, cell.beside(cells[0]), mean, deviation, len(own), gap, cell.name == best))
    return lines


def _best(values: Values) -> str | None:
    """The cell of the highest mean, if its difference to every other one is separated from zero."""
    if len(values) < 2:
        return None
    best = max(values, key=lambda cell: mean_and_deviation(list(values[cell].values()))[0])
    gaps = [paired_difference(values[best], other) for cell, other in values.items() if cell != best]
    return best if all(gap is not None and gap.low > 0 for gap in gaps) else None


def table(grid: Grid, frame: pd.DataFrame) -> str:
    """A Markdown table a metric, and what did not finish."""
    lines = [EXPLAINED, ""]
    for metric in metrics_of(grid, frame):
        lines += [
            f"## {metric}",
            "",
            "| cell | mean | deviation | n | difference | 95% interval | |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(f"| {' | '.join(columns(line))} |" for line in lines_of(grid.cells, frame, metric)),
            "",
        ]
    if told := warnings_of(grid.cells, frame):
        lines += ["## Warnings", "", *(f"- {line}" for line in told), ""]
    lines += list(_unfinished(frame))
    return "\n".join(lines).rstrip() + "\n"


def columns(line: Line) -> list[str]:
    """Name, mean, deviation, n, difference, interval, mark."""
    mean = number(line.mean)
    row = [line.name, f"**{mean}**" if line.best else mean, number(line.deviation), str(line.count)]
    if line.gap is None:
        return [*row, "", "", ""]
    interval = "-" if math.isnan(line.gap.low) else f"{number(line.gap.low)} to {number(line.gap.high)}"
    return [*row, f"{line.gap.mean:+.2f}", interval, "" if line.gap.separated else "~"]


def number(value: float) -> str:
    """With two digits; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def warnings_of(cells: Sequence[Cell], frame: pd.DataFrame) -> list[str]:
    """What finished runs have warned of, a line a cell and warning, with the seeds."""
    runs = frame[frame["status"] == "finished"].drop_duplicates(["cell", "seed"])
    told = []
    for cell in cells:
        own = runs[(runs["cell"] == cell.name) & (runs["reason"] != "")]
        for reason, group in own.groupby("reason", sort=False):
            seeds = ", ".join(map(str, group["seed"]))
            told.append(f"{cell.beside(cells[0])}, seed {seeds}: {reason}")
    return told


def _unfinished(frame: pd.DataFrame) -> Iterator[str]:
    rows = frame[frame["status"] != "finished"]
    if len(rows):
        yield from ("## Not finished", "")
    for row in rows.itertuples():
        yield f"- {row.cell}, seed {row.seed}: {row.status}. {row.reason}".rstrip(". ")
