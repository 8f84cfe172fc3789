"""The quickstart over several seeds: how long it takes, and what it learns beyond random weights and raw pixels.

    python benchmarks/quickstart.py
    python benchmarks/quickstart.py --recipe clipart_small
    python benchmarks/quickstart.py --recipe quickstart_vit --seeds 0 1 2

Each seed is one command ``sslkit fit``. Writes docs/benchmarks/NAME.md and NAME.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import page
import torch

#: Numbers of the run itself, after the evaluations.
COSTS = ("seconds", "wall_seconds", "images_per_second", "peak_memory_mb", "steps", "loss")


def fit(recipe: str, seed: int, out: Path, overrides: list[str]) -> dict[str, Any]:
    """Train with one seed, as a user does; the run's summary and the seconds of the whole command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "sslkit", "fit", "--recipe", recipe, "--out", str(out), "--seed", str(seed)]
    subprocess.run([*command, *overrides], check=True)
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return {**summary, "wall_seconds": round(time.perf_counter() - began, 3)}


def measure(args: argparse.Namespace) -> dict[int, dict[str, Any]]:
    """The summary of every seed, one after another."""
    overrides = [f"--{pair}" for pair in args.set]
    with tempfile.TemporaryDirectory() as folder:
        return {seed: fit(args.recipe, seed, Path(folder) / f"seed{seed}", overrides) for seed in args.seeds}


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation (of a sample)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.2f} +- {deviation:.2f}"


def row(name: str, key: str, summaries: dict[int, dict[str, Any]]) -> list[object]:
    """One number over the seeds."""
    values = [float(summary[key]) for summary in summaries.values()]
    return [name, *[f"{value:.2f}" for value in values], spread(values)]


def evaluations(summaries: dict[int, dict[str, Any]]) -> list[list[object]]:
    """Before, after, and what was gained, for every accuracy that was taken both before and after training."""
    first = next(iter(summaries.values()))
    rows: list[list[object]] = []
    for key in (key for key in first if key.endswith("top1") and f"start/{key}" in first):
        if "raw_pixels" in key:  # the same before and after: no network is in it
            learned = key.replace("raw_pixels_", "")
            beyond = {seed: {key: s[learned] - s[key]} for seed, s in summaries.items()}
            rows += [row(key, key, summaries), row(f"{learned}, beyond raw pixels", key, beyond)]
            continue
        gains = {seed: {key: s[key] - s[f"start/{key}"]} for seed, s in summaries.items()}
        rows += [
            row(f"{key}, random weights", f"start/{key}", summaries),
            row(f"{key}, after training", key, summaries),
            row(f"{key}, gain", key, gains),
        ]
    return rows


def body(summaries: dict[int, dict[str, Any]]) -> list[str]:
    """The page's tables."""
    head = ["", *[f"seed {seed}" for seed in summaries], "mean +- standard deviation"]
    first = next(iter(summaries.values()))
    costs = [row(key, key, summaries) for key in COSTS if isinstance(first.get(key), int | float)]
    return [
        "Accuracies in percent. `seconds` are the training loop's; `wall_seconds` are the whole command's, with "
        "imports and both evaluations. All other numbers are in the JSON file beside this page.",
        "",
        *page.table(head, evaluations(summaries)),
        *page.table(head, costs),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the recipe")
    parser.add_argument("--name", help="of the page (default: the recipe's)")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    command = shlex.join(["python", "benchmarks/quickstart.py", *page.without_out(sys.argv[1:])])
    machine = page.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    summaries = measure(args)
    top = page.heading(f"{args.recipe}, {len(summaries)} seeds", command, machine)
    data = {"command": command, "machine": machine, "seeds": {str(seed): s for seed, s in summaries.items()}}
    page.write(args.name or Path(args.recipe).stem, top + body(summaries), data, args.out)


if __name__ == "__main__":
    main()
