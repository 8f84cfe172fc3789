"""The curves of a run, as a picture: losses and rates by step, evaluations by epoch."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from sslkit.engine.run_folder import RunFolder
from sslkit.parts.loss import Loss
from sslkit.recipe.model import Recipe
from sslkit.report.gains import RAW
from sslkit.report.words import InWords, words_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NETS = ("teacher", "student")
#: The running mean covers this share of all steps.
_SMOOTH = 1 / 25
#: Panels side by side, and the inches of a row.
_COLUMNS, _WIDTH, _HEIGHT = 3, 13.5, 3.3
#: What the engine logs itself.
_ENGINE = {"lr": "learning rate", "grad_norm": "gradient norm before clipping"}


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: what is shown.
        unit: of the vertical axis; may be empty.
        lines: by label, rows with ``epoch`` and ``value``.
        by_step: whether lines have a value a step, and get a running mean.
        note: stands under the plot.
    """

    title: str
    unit: str
    lines: Mapping[str, pd.DataFrame]
    by_step: bool = True
    note: str = ""


def draw_curves(folder: RunFolder, recipe: Recipe) -> Path | None:
    """Write ``pictures/curves.png`` from ``metrics.csv``. What never changed has no panel."""
    source = folder.path / "metrics.csv"
    if not source.is_file():
        return None
    rows = panel_rows(pd.read_csv(source), recipe)
    if not rows:
        return None
    folder.pictures.mkdir(parents=True, exist_ok=True)
    return _plot(rows, folder.pictures / "curves.png")


def panel_rows(table: pd.DataFrame, recipe: Recipe) -> list[list[Panel]]:
    """What is worth a plot, row by row: loss and evaluations first, then what else moved; no row has a gap.

    Args:
        table: columns ``epoch``, ``name`` and ``value``.
        recipe: of the run, for words and units.
    """
    names = [name for name in table["name"].unique() if not name.startswith("time/")]
    moving = table.groupby("name")["value"].nunique() > 1
    by_step = {name: _rows(table, name) for name in names if name.split("/")[0] not in _NETS and moving[name]}
    first = [_loss_panel(by_step.pop("loss"), recipe)] if "loss" in by_step else []
    judged = [name for name in names if name.split("/")[0] in _NETS and name.endswith("top1")]
    if judged:
        lines = {_label(name, judged, words_of(recipe.evaluate)): _rows(table, name) for name in judged}
        first.append(Panel("accuracy", "%", lines, by_step=False))
    rest = [_step_panel(name, rows, recipe) for name, rows in by_step.items()]
    return [row for row in (first, *_even(rest)) if row]


def _even(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Rows of at most three, as equal as can be: four are two and two."""
    rows = -(-len(panels) // _COLUMNS)
    ends = [round(len(panels) * row / rows) for row in range(rows + 1)] if rows else [0]
    return [list(panels[start:end]) for start, end in pairwise(ends)]


def _rows(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["name"] == name]


def _loss_panel(rows: pd.DataFrame, recipe: Recipe) -> Panel:
    losses = [cast(type[Loss], spec.part.target) for spec in recipe.losses.values()]
    units = {loss.units.get("loss", "") for loss in losses}
    note = " ".join(dict.fromkeys(loss.reading for loss in losses if loss.reading))
    return Panel("loss", units.pop() if len(units) == 1 else "", {"loss": rows}, note=note)


def _step_panel(name: str, rows: pd.DataFrame, recipe: Recipe) -> Panel:
    owner, _, log = name.rpartition("/")
    if owner not in recipe.losses:
        return Panel(_ENGINE.get(name, _spaced(name)), "", {name: rows})
    title = _spaced(log) if len(recipe.losses) == 1 else f"{_spaced(log)} ({_spaced(owner)})"
    return Panel(title, cast(type[Loss], recipe.losses[owner].part.target).units.get(log, ""), {name: rows})


def _spaced(name: str) -> str:
    return name.replace("/", ": ").replace("_", " ")


def _label(name: str, judged: Sequence[str], in_words: InWords) -> str:
    net, owner, metric = name.split("/", 2)
    words = in_words(f"{net}/{owner}/{metric.removeprefix(RAW)}")
    if metric.startswith(RAW):
        return f"raw pixels: {words}"
    return f"{net}: {words}" if len({other.split("/")[0] for other in judged}) > 1 else words


def _plot(rows: Sequence[Sequence[Panel]], file: Path) -> Path:
    # the object interface: no window, no global figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    extra = 1.3 if any(panel.note or not panel.by_step for panel in rows[0]) else 0.0
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(rows) + extra), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [_HEIGHT + extra, *[_HEIGHT] * (len(rows) - 1)]
    grid = figure.add_gridspec(len(rows), 1, height_ratios=heights)
    for place, row in enumerate(rows):
        cells = grid[place].subgridspec(1, len(row))
        for column, panel in enumerate(row):
            axes = figure.add_subplot(cells[column])
            _draw(panel, axes, characters=int(_WIDTH / len(row) * 15))
    figure.savefig(file, dpi=110)
    return file


def _draw(panel: Panel, axes: Axes, characters: int) -> None:
    for number, (label, rows) in enumerate(panel.lines.items()):
        if panel.by_step:
            _draw_steps(rows, axes)
        else:
            line = "--" if label.startswith("raw pixels") else "o-"
            axes.plot(rows["epoch"], rows["value"], line, label=label, color=f"C{number}", markersize=4)
    axes.set_title(panel.title, fontsize=11)
    axes.set_ylabel(panel.unit, fontsize=9)
    axes.set_xlabel("\n".join(["epoch", *textwrap.wrap(panel.note, characters)]), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if not panel.by_step:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def _draw_steps(rows: pd.DataFrame, axes: Axes) -> None:
    """Every step, thin and pale under its running mean; a curve without noise, such as a schedule, stands alone."""
    values, steps = rows["value"], max(1, round(len(rows) * _SMOOTH))
    noise = float(values.diff().diff().abs().median())
    if steps < 3 or not noise > 0.002 * float(values.max() - values.min()):
        axes.plot(rows["epoch"], values, color="C0", linewidth=1.5)
        return
    smooth = values.rolling(steps, center=True, min_periods=1).mean()
    axes.plot(rows["epoch"], values, color="C0", linewidth=0.8, alpha=0.4, label="every step")
    axes.plot(rows["epoch"], smooth, color="C0", linewidth=1.8, label=f"mean of {steps} steps")
    axes.legend(fontsize=8)
