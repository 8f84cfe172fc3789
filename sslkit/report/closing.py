"""The closing table of a run: before, after, what it means and what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from rich.table import Table

from sslkit.report.console import say, show

_RAW = "raw_pixels_"
_NETS = ("teacher", "student")


@dataclass(frozen=True)
class Headline:
    """An evaluator's first number: on raw pixels, with random weights and after training (None: not measured)."""

    name: str
    raw: float | None
    start: float | None
    after: float


def headlines(summary: Mapping[str, Any]) -> list[Headline]:
    """The headline of each net and evaluator of a summary, in order."""
    found: dict[str, Headline] = {}
    for name, value in summary.items():
        net, _, rest = name.partition("/")
        evaluator, _, metric = rest.partition("/")
        owner = f"{net}/{evaluator}"
        if net in _NETS and metric and not metric.startswith(_RAW) and owner not in found:
            found[owner] = Headline(
                name, summary.get(f"{owner}/{_RAW}{metric}"), summary.get(f"start/{name}"), float(value)
            )
    return list(found.values())


def show_results(folder: Path, summary: Mapping[str, Any]) -> None:
    """Print what a finished run found, what it means, and where it lies."""
    rows = headlines(summary)
    if rows:
        show(_table(rows))
    for line in meaning(rows):
        say(line)
    seconds, speed = summary["seconds"], summary["images_per_second"]
    count = f"{summary['steps']} step{'' if summary['steps'] == 1 else 's'}"
    say(f"trained {count} in {seconds:.0f} s ({speed or 0:.0f} images/s); the run lies in {folder}")
    if summary.get("best_step") is not None:
        where = folder / "checkpoints" / f"step-{summary['best_step']:08d}"
        say(f"the best checkpoint, {summary['best_value']:.2f} by checkpoint.best_metric: {where}")
    if summary.get("bad_images"):
        say(f"{summary['bad_images']} images could not be read: {folder / 'bad_images.csv'} lists them")
    say("what to try next:")
    run = quote(str(folder))
    say(f"  sslkit eval {run}                              # judge it again, or with another evaluator")
    say(f"  sslkit embed {run} --out features.npz          # the features, with the images' names")
    say(f"  tensorboard --logdir {run}                     # curves; pictures/ holds them as PNG")


def _table(rows: list[Headline]) -> Table:
    with_raw = any(row.raw is not None for row in rows)
    with_start = any(row.start is not None for row in rows)
    table = Table(title="what it learned", title_justify="left")
    table.add_column("measure", overflow="fold")
    wanted = [("raw pixels", with_raw), ("random weights", with_start), ("after training", True)]
    for column, shown in wanted:
        if shown:
            table.add_column(column, justify="right")
    for row in rows:
        cells = [(row.raw, with_raw), (row.start, with_start), (row.after, True)]
        table.add_row(row.name, *["" if value is None else f"{value:.1f}" for value, shown in cells if shown])
    return table


def meaning(rows: list[Headline]) -> list[str]:
    """For each share that was measured before and after training, a sentence on whether training helped."""
    said = []
    for row in rows:
        if row.start is None or "top1" not in row.name:
            continue
        gain = row.after - row.start
        verdict = f"training gained {gain:.1f} points" if gain > 0 else f"training did NOT help ({gain:+.1f} points)"
        beyond = ""
        if row.raw is not None:
            margin = row.after - row.raw
            beyond = f", {abs(margin):.1f} {'above' if margin >= 0 else 'below'} raw pixels"
        said.append(f"{row.name}: {verdict} over random weights{beyond}")
    return said
