"""The report of an ablation: one page that needs nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import pandas as pd
import yaml

from sslkit import __version__
from sslkit.ablation.curves import draw, panels_of, read_curves, style_of
from sslkit.ablation.facts import data_of, machines_of
from sslkit.ablation.forest import forest
from sslkit.ablation.grid import Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.ablation.table import Tallies, columns, explained, lines_of, metrics_of, warnings_of

_COSTS = {"seconds": "seconds", "images_per_second": "images/s", "peak_memory_mb": "memory, MB"}


def report(
    grid: Grid, members: Sequence[Member], layout: Layout, frame: pd.DataFrame, tallies: Tallies | None = None
) -> str:
    """The page, as HTML.

    Args:
        grid: what is compared.
        members: its runs.
        layout: where they lie.
        frame: what they found (:func:`sslkit.ablation.results.collect`).
        tallies: of grids with one seed (:func:`sslkit.ablation.results.tallies_of`).
    """
    body = [*_facts(grid, members, layout, frame), *_tables(grid, frame, tallies)]
    body += [*_curves(grid, members, layout, frame), *_costs(grid, members, layout)]
    body += _runs(grid, members, layout, frame)
    return _template().substitute(title=escape(layout.path.name), body="\n".join(body))


def _facts(grid: Grid, members: Sequence[Member], layout: Layout, frame: pd.DataFrame) -> Iterable[str]:
    """What was compared, when, on which images and on which machine."""
    runs = frame.drop_duplicates(["cell", "seed"])
    finished = int((runs["status"] == "finished").sum())
    source = Path(grid.recipe).stem if isinstance(grid.recipe, str) else "from Python"
    seeds = f"{len(grid.seeds)} seed{'' if len(grid.seeds) == 1 else 's'}"
    facts = {
        "runs": f"{len(grid.cells)} cells, {seeds}; {finished} of {len(runs)} runs finished",
        "baseline": grid.cells[0].name,
        "recipe": source,
        "data": "; ".join(dict.fromkeys(data_of(member.resolved) for member in members)),
        "machine": "; ".join(machines_of(members, layout)) or "not known yet: no run has begun",
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "made by": f"sslkit {__version__}",
    }
    yield f"<dl>{''.join(f'<div><dt>{key}</dt><dd>{escape(value)}</dd></div>' for key, value in facts.items())}</dl>"


@cache
def _template() -> Template:
    return Template(Path(__file__).with_name("report.html").read_text("utf-8"))


def _tables(grid: Grid, frame: pd.DataFrame, tallies: Tallies | None) -> Iterable[str]:
    yield f"<h2>What was found</h2><p class=soft>{escape(explained(grid))}</p>"
    heads = ("cell", "mean", "deviation", "n", "difference", "95% interval", "")
    for metric in metrics_of(grid, frame):
        lines = lines_of(grid.cells, frame, metric, tallies)
        rows = [
            _row(heads, [_cell(text) for text in columns(line)], "baseline" if line.cell is grid.cells[0] else "")
            for line in lines
        ]
        yield f"<h3>{escape(metric)}</h3>{forest(lines)}{_table(heads, rows)}"
    if told := warnings_of(grid.cells, frame):
        yield f"<h3>Warnings</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in told)}</ul>"


def _cell(text: str) -> str:
    """A table's text on the page: bold as there, and its mark in words."""
    if text == "~":
        return "within noise"
    return f"<b>{escape(text.strip('*'))}</b>" if text.startswith("**") else escape(text)


def _curves(grid: Grid, members: Sequence[Member], layout: Layout, frame: pd.DataFrame) -> Iterable[str]:
    names = [cell.name for cell in grid.cells]
    trained, judged = panels_of(curves_of(members, layout), metrics_of(grid, frame))
    if not trained and not judged:
        return
    yield "<h2>Curves</h2><p class=soft>Means over seeds; the bands are one standard deviation to either side.</p>"
    keys = [_key(index, cell.beside(grid.cells[0])) for index, cell in enumerate(grid.cells)]
    yield f"<div class=legend>{''.join(keys)}</div>"
    for kind, panels in (("panels", trained), ("panels pairs", judged)):
        figures = "".join(f"<figure>{draw(panel, names)}</figure>" for panel in panels)
        yield f'<div class="{kind}">{figures}</div>'


def curves_of(members: Sequence[Member], layout: Layout) -> dict[str, list[pd.DataFrame]]:
    """The curves of every cell's runs, by the cell's name; runs without any are left out."""
    files = {name: read_curves(layout.run(name) / "metrics.csv") for name in {member.folder for member in members}}
    found: dict[str, list[pd.DataFrame]] = {member.cell.name: [] for member in members}
    for member in members:
        if len(files[member.folder]):
            found[member.cell.name].append(files[member.folder])
    return found


def _key(index: int, name: str) -> str:
    colour, dash = style_of(index)
    pattern = {"-": "none", "--": "5 3", ":": "2 2", "-.": "6 2 2 2"}[dash]
    line = f'<path d="M0 5H28" stroke="{colour}" stroke-width="3" stroke-dasharray="{pattern}"/>'
    return f'<span><svg viewBox="0 0 28 10" aria-hidden="true">{line}</svg>{escape(name)}</span>'


def _costs(grid: Grid, members: Sequence[Member], layout: Layout) -> Iterable[str]:
    rows, heads = [], ("cell", *_COSTS.values())
    for cell in grid.cells:
        own = [layout.summary(member.folder) for member in members if member.cell == cell]
        values = [[float(run[key]) for run in own if run.get(key) is not None] for key in _COSTS]
        if any(values):
            rows.append(_row(heads, [escape(cell.beside(grid.cells[0])), *map(_mean, values)]))
    if rows:
        yield "<h2>What it cost</h2><p class=soft>Of a run, as its own process measured it: training without "
        yield "evaluations, and the most memory that it held. Runs side by side slow each other down.</p>"
        yield _table(heads, rows)


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.0f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.0f}{spread}"


def _runs(grid: Grid, members: Sequence[Member], layout: Layout, frame: pd.DataFrame) -> Iterable[str]:
    measured = metrics_of(grid, frame)
    first = measured[0] if measured else None
    yield "<h2>Runs</h2>"
    rows, heads = [], ("cell", "overrides", f"runs: {first}" if first else "runs")
    for cell in grid.cells:
        told = ", ".join(f"{override.key}: {_value(override.value)}" for override in cell.overrides) or "none"
        links = [_link(member, layout, frame, first) for member in members if member.cell == cell]
        cells = [escape(cell.beside(grid.cells[0])), f"<code>{escape(told)}</code>", "; ".join(links)]
        rows.append(_row(heads, cells))
    yield _table(heads, rows, "runs")


def _link(member: Member, layout: Layout, frame: pd.DataFrame, metric: str | None) -> str:
    rows = frame[(frame["cell"] == member.cell.name) & (frame["seed"] == member.seed)]
    status, reason = rows["status"].iloc[0], rows["reason"].iloc[0]
    value = rows[rows["metric"] == metric]["value"]
    told = f"{value.iloc[0]:.2f}" if len(value) else f"<span class=bad>{escape(f'{status} {reason}'.strip())}</span>"
    name = f"seed {member.seed}"
    if layout.run(member.folder).is_dir():
        name = f'<a href="runs/{quote(member.folder)}">{name}</a>'
    return f"{name}: {told}"


def _value(value: Any) -> str:
    """As a recipe would have it, on one line."""
    if isinstance(value, str):
        return value
    return " ".join(yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").split())


def _table(heads: Sequence[str], rows: Iterable[str], kind: str = "numbers") -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f"<div class=scroll><table class={kind}>{body}</table></div>"


def _row(heads: Sequence[str], cells: Sequence[str], kind: str = "") -> str:
    """A row whose cells know their heads: on a phone it becomes a card."""
    inside = "".join(
        f'<td data-head="{escape(head)}">{cell}</td>' if cell else "<td class=empty></td>"
        for head, cell in zip(heads, cells, strict=True)
    )
    return f"<tr{f' class={kind}' if kind else ''}>{inside}</tr>"
