"""The table of an ablation, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sslkit.ablation.grid import Cell, Grid
from sslkit.ablation.statistics import Difference, mean_and_deviation, over_images, paired_difference
from sslkit.evaluation.intervals import Tally, share_interval

#: By cell name, by seed.
Values = Mapping[str, Mapping[int, float]]
#: Which test images the one run of a cell classified correctly: by cell name, by metric.
Tallies = Mapping[str, Mapping[str, Tally]]
EXPLAINED = (
    "Mean and standard deviation over n seeds. The difference to the first cell is over pairs of runs with one seed, "
    "with its 95% t-interval; where that includes zero it is marked ~: it may be chance. Bold: the highest mean, where "
    "the difference to every other cell is separated from zero."
)
EXPLAINED_ONE_SEED = (
    "One seed: intervals are over test images. In brackets: Wilson's 95% interval of a share. The difference to the "
    "first cell is on the same images, with its paired bootstrap 95% interval; where that includes zero it is within "
    "noise, and marked ~. These intervals do not say what another seed would give: for that take three seeds or more."
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
        share: with one seed, Wilson's 95% interval of the accuracy; None where that is not known.
    """

    cell: Cell
    name: str
    mean: float
    deviation: float
    count: int
    gap: Difference | None
    best: bool
    share: tuple[float, float] | None = None


def explained(grid: Grid) -> str:
    """What the numbers of a table are."""
    return EXPLAINED if len(grid.seeds) > 1 else EXPLAINED_ONE_SEED


def metrics_of(grid: Grid, frame: pd.DataFrame) -> list[str]:
    """The metrics that were measured, in the order of the grid; where it names none, the first of each evaluator."""
    measured = [name for name in dict.fromkeys(frame["metric"]) if name]
    first: dict[str, str] = {}
    for name in measured:
        first.setdefault(name.rpartition("/")[0], name)
    return [name for name in grid.metrics if name in measured] or list(first.values())


def lines_of(cells: Sequence[Cell], frame: pd.DataFrame, metric: str, tallies: Tallies | None = None) -> list[Line]:
    """A line a cell, in order.

    Args:
        cells: of the grid, the baseline first.
        frame: what the runs found.
        metric: which number.
        tallies: of grids with one seed.
    """
    known = {cell: of[metric] for cell, of in (tallies or {}).items() if metric in of}
    rows = frame[frame["metric"] == metric]
    values: Values = {
        str(cell): dict(zip(group["seed"], group["value"], strict=True)) for cell, group in rows.groupby("cell")
    }
    base, best = values.get(cells[0].name, {}), _best(values)
    lines = []
    for cell in cells:
        own = values.get(cell.name, {})
        mean, deviation = mean_and_deviation(list(own.values())) if own else (math.nan, math.nan)
        tally = known.get(cell.name)
        gap = None
        if cell is not cells[0]:
            gap = over_images(tally, known.get(cells[0].name)) or paired_difference(own, base)
        share = None if tally is None else share_interval(tally)
        lines.append(Line(cell, cell.beside(cells[0]), mean, deviation, len(own), gap, cell.name == best, share))
    return lines


def _best(values: Values) -> str | None:
    """The cell of the highest mean, if its difference to every other one is separated from zero."""
    if len(values) < 2:
        return None
    best = max(values, key=lambda cell: mean_and_deviation(list(values[cell].values()))[0])
    gaps = [paired_difference(values[best], other) for cell, other in values.items() if cell != best]
    return best if all(gap is not None and gap.low > 0 for gap in gaps) else None


def table(grid: Grid, frame: pd.DataFrame, tallies: Tallies | None = None) -> str:
    """A Markdown table a metric, and what did not finish; arguments as of :func:`lines_of`."""
    lines = [explained(grid), ""]
    for metric in metrics_of(grid, frame):
        lines += [
            f"## {metric}",
            "",
            "| cell | mean | deviation | n | difference | 95% interval | |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(f"| {' | '.join(columns(line))} |" for line in lines_of(grid.cells, frame, metric, tallies)),
            "",
        ]
    if told := warnings_of(grid.cells, frame):
        lines += ["## Warnings", "", *(f"- {line}" for line in told), ""]
    lines += list(_unfinished(frame))
    return "\n".join(lines).rstrip() + "\n"


def columns(line: Line) -> list[str]:
    """Name, mean, deviation, n, difference, interval, mark."""
    mean = number(line.mean)
    if line.share is not None:
        mean += f" ({number(line.share[0])} to {number(line.share[1])})"
    row = [line.name, f"**{mean}**" if line.best else mean, number(line.deviation), str(line.count)]
    if line.gap is None:
        return [*row, "", "", ""]
    interval = "-" if math.isnan(line.gap.low) else f"{number(line.gap.low)} to {number(line.gap.high)}"
    # without an interval nothing is known of the noise
    mark = "" if line.gap.separated or math.isnan(line.gap.low) else "~"
    return [*row, f"{line.gap.mean:+.2f}", interval, mark]


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
