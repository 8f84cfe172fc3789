"""The closing table of a run: before, after, what it means and what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from rich.table import Table

from sslkit.report.console import say, show
from sslkit.report.gains import Headline, Number, headlines, interval_text, meaning, verdict
from sslkit.report.tallies import read_tallies
from sslkit.report.words import InWords, unnamed

_CAPTION = (
    "Below each number stands its 95% interval: Wilson's for a share; for the gain over random weights a paired "
    "bootstrap over the test images. Where that includes 0, the gain is within noise."
)


def show_results(folder: Path, summary: Mapping[str, Any], in_words: InWords = unnamed) -> None:
    """Print what a finished run found, what it means, and where it lies.

    Args:
        folder: the run folder.
        summary: the run's.
        in_words: how metrics are called.
    """
    start, after = (read_tallies(folder, step) for step in (0, summary["steps"]))
    rows = headlines(summary, start, after, in_words)
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
    say(f"  sslkit eval {run}                              # evaluate it again, or with another evaluator")
    say(f"  sslkit embed {run} --out features.npz          # the features, with the images' names")
    say(f"  tensorboard --logdir {run}                     # curves; pictures/ holds them as PNG")


def _table(rows: list[Headline]) -> Table:
    with_raw = any(row.raw is not None for row in rows)
    with_start = any(row.start is not None for row in rows)
    known = any(row.after.tally is not None for row in rows)
    table = Table(title="what it learned", title_justify="left", caption=_CAPTION if known else None)
    table.caption_justify = "left"
    table.add_column("measure", overflow="fold")
    columns = {"raw pixels": with_raw, "random weights": with_start, "after training": True, "gain": with_start}
    for column, shown in columns.items():
        if shown:
            table.add_column(column, justify="right")
    for row in rows:
        cells = [_cell(row.raw), _cell(row.start), _cell(row.after), _gain(row)]
        table.add_row(row.words, *[cell for cell, shown in zip(cells, columns.values(), strict=True) if shown])
    return table


def _cell(number: Number | None) -> str:
    """A number, and below it its interval."""
    return "" if number is None else f"{number.value:.1f}\n{_small(interval_text(number.interval))}".rstrip()


def _gain(row: Headline) -> str:
    """After training minus random weights, and below it the interval and whether that includes 0."""
    if row.start is None:
        return ""
    change, gap = row.after.value - row.start.value, row.after.minus(row.start)
    if gap is None:
        return f"{change:+.1f}"
    noise = "" if gap.beyond_noise else f"\n{verdict(gap)}"
    return f"{change:+.1f}\n{_small(f'{gap.low:.1f} to {gap.high:.1f}')}{noise}"


def _small(text: str) -> str:
    return f"[dim]{text}[/dim]" if text else ""
