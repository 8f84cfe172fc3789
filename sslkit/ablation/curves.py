"""Curves of an ablation's cells: means over seeds with their spread, as SVG for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Points that a curve of training steps is averaged to.
_POINTS = 60
#: Told apart in light, in dark and by most who see few colours (Tol 2021, "bright").
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999")
_DASHES = ("-", "--", ":", "-.")
#: Stands for the page's own text colour, which is another one in the dark.
_INK = "#010203"


@dataclass(frozen=True)
class Panel:
    """One quantity over epochs.

    Attributes:
        title: such as ``loss`` or ``teacher/knn/k20_top1``.
        curves: by cell name, ``epoch``, ``mean``, ``low`` and ``high`` (a standard deviation over seeds below and above
            the mean).
        limits: of the vertical axis; None: its own.
    """

    title: str
    curves: Mapping[str, pd.DataFrame]
    limits: tuple[float, float] | None = None


def read_curves(file: Path) -> pd.DataFrame:
    """Columns ``name``, ``epoch``, ``value`` of a run, training steps averaged to at most 60 points; empty without a
    file."""
    try:
        rows = pd.read_csv(file, usecols=["epoch", "name", "value"])
    except (OSError, ValueError):
        return pd.DataFrame({"name": [], "epoch": [], "value": []})
    rows = rows[~rows["name"].str.startswith("time/")]
    judged = _of_evaluation(rows["name"])
    steps = rows[~judged]
    width = max(float(steps["epoch"].max()) / _POINTS, 1e-9) if len(steps) else 1.0
    bins = (steps["epoch"] / width).apply(np.ceil) * width
    means = steps.assign(epoch=bins).groupby(["name", "epoch"], sort=False)["value"].mean().reset_index()
    return pd.concat([means, rows[judged]], ignore_index=True)[["name", "epoch", "value"]]


def panels_of(runs: Mapping[str, Sequence[pd.DataFrame]], metrics: Sequence[str]) -> tuple[list[Panel], list[Panel]]:
    """What is worth a picture: the loss and what losses log, where it moves; and the evaluations, those of teacher and
    student with one scale.

    Args:
        runs: the runs of each cell (:func:`read_curves`), by the cell's name.
        metrics: evaluations that are shown, where they were taken more than once.
    """
    merged = {cell: _spread(frames) for cell, frames in runs.items() if frames}
    names = dict.fromkeys(name for table in merged.values() for name in table["name"])
    logged = [name for name in names if name == "loss" or ("/" in name and not _is_evaluation(name))]
    panels = [_panel(name, merged) for name in logged]
    panels = [panel for panel in panels if _moves(panel)]
    judged = [_panel(name, merged) for name in _paired(metrics) if name in names]
    judged = [panel for panel in judged if any(len(curve) > 2 for curve in panel.curves.values())]
    return panels, [_scaled(panel, judged) for panel in judged]


def _paired(metrics: Sequence[str]) -> list[str]:
    """With teacher and student of one evaluation beside each other."""
    bare = dict.fromkeys(metric.partition("/")[2] for metric in metrics)
    return [f"{net}/{name}" for name in bare for net in ("teacher", "student") if f"{net}/{name}" in metrics]


def _spread(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat(list(frames), ignore_index=True)
    found = rows.groupby(["name", "epoch"], as_index=False, sort=False)["value"].agg(["mean", "std"])
    deviation = found["std"].fillna(0.0)
    return found.assign(low=found["mean"] - deviation, high=found["mean"] + deviation).sort_values("epoch")


def _panel(name: str, merged: Mapping[str, pd.DataFrame]) -> Panel:
    curves = {cell: table[table["name"] == name] for cell, table in merged.items()}
    return Panel(name, {cell: curve for cell, curve in curves.items() if len(curve)})


def _moves(panel: Panel) -> bool:
    """Whether a curve changes, and is not that of every cell, as a schedule's is."""
    curves = [curve["mean"].to_numpy() for curve in panel.curves.values()]
    alike = len(curves) > 1 and all(np.array_equal(curve, curves[0]) for curve in curves)
    return not alike and any(len(np.unique(curve)) > 1 for curve in curves)


def _scaled(panel: Panel, others: Sequence[Panel]) -> Panel:
    """With limits that hold the other net's curves too."""
    bare = panel.title.partition("/")[2]
    curves = [c for other in others if other.title.partition("/")[2] == bare for c in other.curves.values()]
    low, high = min(float(c["low"].min()) for c in curves), max(float(c["high"].max()) for c in curves)
    margin = 0.05 * (high - low) or 1.0
    return Panel(panel.title, panel.curves, (low - margin, high + margin))


def _is_evaluation(name: str) -> bool:
    return name.startswith(("teacher/", "student/"))


def _of_evaluation(names: pd.Series[str]) -> pd.Series[bool]:
    return names.str.startswith(("teacher/", "student/"))


def style_of(index: int) -> tuple[str, str]:
    """Colour and dash of the cell of this number."""
    return COLOURS[index % len(COLOURS)], _DASHES[index // len(COLOURS) % len(_DASHES)]


def draw(panel: Panel, cells: Sequence[str]) -> str:
    """A panel as SVG that takes the page's text colour, fonts and width.

    Args:
        panel: what is drawn.
        cells: all cells, in the order of their colours.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": panel.title, "text.color": _INK}):
        figure = Figure(figsize=(4.2, 2.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot(panel, cells, axes)
        axes.title.set_color(_INK)
        axes.xaxis.label.set_color(_INK)
        axes.tick_params(colors=_INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(_INK)
        return _inline(figure, panel.title)


def plot(panel: Panel, cells: Sequence[str], axes: Axes) -> None:
    """A panel on matplotlib's axes; arguments as of :func:`draw`."""
    for index, cell in enumerate(cells):
        curve = panel.curves.get(cell)
        if curve is not None:
            colour, dash = style_of(index)
            axes.plot(curve["epoch"], curve["mean"], dash, color=colour, linewidth=1.6)
            axes.fill_between(curve["epoch"], curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if panel.limits:
        axes.set_ylim(*panel.limits)


def _inline(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    body = buffer.getvalue()
    body = body[body.index("<svg") :].replace(_INK, "currentColor")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{label}">', body, count=1
    )
