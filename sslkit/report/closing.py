"""The closing table of a run: before, after, what it means and what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from sslkit.report.console import console, say

_RAW = "raw_pixels_"


def show_results(folder: Path, summary: Mapping[str, Any]) -> None:
    """Print what a finished run found, and where it lies."""
    rows = result_rows(summary)
    if rows:
        with_raw = any(row[1] for row in rows)
        table = Table(title=f"{folder.name}: what it learned", title_justify="left")
        table.add_column("measure")
        for column in (["raw pixels"] if with_raw else []) + ["random weights", "after training"]:
            table.add_column(column, justify="right")
        for name, raw, start, after in rows:
            table.add_row(name, *([raw] if with_raw else []), start, after)
        console().print(table)
        say(verdict(summary))
    seconds, speed = summary["seconds"], summary["images_per_second"]
    say(f"{summary['steps']} steps in {seconds:.0f} s of training ({speed or 0:.0f} images/s); the run is {folder}")
    if summary.get("bad_images"):
        say(f"{summary['bad_images']} images could not be read: {folder / 'bad_images.csv'} lists them")
    say(
        f"next: sslkit eval {folder} | sslkit embed {folder} --out features.npz | tensorboard --logdir {folder} | "
        f"another recipe line: --teacher frozen_epoch --out {folder}_frozen"
    )


def result_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Measure, raw pixels, random weights and after training, as text; empty where not measured."""
    rows = []
    for name, value in summary.items():
        net, _, rest = name.partition("/")
        evaluator, _, metric = rest.partition("/")
        if net not in ("teacher", "student") or not metric or metric.startswith(_RAW):
            continue
        raw = summary.get(f"{net}/{evaluator}/{_RAW}{metric}")
        rows.append((name, _text(raw), _text(summary.get(f"start/{name}")), _text(value)))
    return rows


def verdict(summary: Mapping[str, Any]) -> str:
    """One sentence per share that was measured before and after: whether training helped."""
    said = []
    for name, after in summary.items():
        start = summary.get(f"start/{name}")
        if start is None or not name.endswith("top1") or _RAW in name:
            continue
        evaluator, metric = name.split("/")[1:3]
        raw = summary.get(name.replace(metric, _RAW + metric))
        against = f", raw pixels {raw:.1f}%" if raw is not None else ""
        moved = "learned" if after > start else "did NOT gain"
        said.append(f"{evaluator} {metric}: {moved} ({start:.1f}% with random weights, {after:.1f}% now{against})")
    return "what it means: " + ("; ".join(said) if said else "no measure was taken both before and after training")


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
