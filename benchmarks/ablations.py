"""The shipped grids of ablations: run, and written down with tables and pictures.

    python benchmarks/ablations.py FOLDER
    python benchmarks/ablations.py FOLDER --grids teacher collapse --jobs 1

Each grid is one command ``sslkit ablate --recipe ablations/GRID --jobs 2 --out FOLDER/GRID``; it goes on where it was.
Writes docs/benchmarks/ablations.md and ablations.json, and docs/images/ablation_GRID.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import page
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sslkit.ablation.curves import panels_of, plot, style_of
from sslkit.ablation.grid import Grid
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member, plan
from sslkit.ablation.read import read_grid
from sslkit.ablation.report import curves_of
from sslkit.ablation.results import collect
from sslkit.ablation.table import EXPLAINED, columns, lines_of
from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import shipped_grid

GRIDS = (
    "teacher", "collapse", "crops", "components", "head", "temperature", "center_momentum", "batch_size",
    "teacher_fashion",
)  # fmt: skip
IMAGES = page.ROOT / "docs" / "images"


def run(name: str, folder: Path, jobs: int) -> int:
    """Run a grid, or what is left of it; its exit code."""
    words = ["ablate", "--recipe", f"ablations/{name}", "--jobs", str(jobs), "--out", str(folder / name)]
    return subprocess.run([sys.executable, "-m", "sslkit", *words], check=False).returncode


def section(name: str, grid: Grid, members: Sequence[Member], layout: Layout) -> tuple[list[str], dict[str, Any]]:
    """A grid's part of the page, and its numbers."""
    frame = collect(members, layout, grid.metrics)
    runs = {member.folder: layout.summary(member.folder) for member in members}
    minutes = sum(summary.get("seconds", 0.0) for summary in runs.values()) / 60
    path = shipped_grid(f"ablations/{name}")
    assert path is not None
    title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    lines = [f"## {name}", "", f"{title} {len(runs)} runs, together {minutes:.0f} minutes of training.", ""]
    for metric in grid.metrics:
        lines += [f"`{metric}`", ""]
        head = ("cell", "mean", "deviation", "n", "difference", "95% interval", "")
        lines += page.table(head, [columns(line) for line in lines_of(grid.cells, frame, metric)])
    draw(grid, members, layout, IMAGES / f"ablation_{name}.png")
    lines += [f"![curves](../images/ablation_{name}.png)", ""]
    commits = sorted({commit for folder in runs if (commit := _commit(layout.run(folder)))})
    costs = {
        name: {key: summary.get(key) for key in ("seconds", "images_per_second", "peak_memory_mb")}
        for name, summary in runs.items()
    }
    rows = frame[["cell", "seed", "status", "reason", "metric", "value"]].to_dict("records")
    return lines, {"commits": commits, "minutes": round(minutes, 1), "rows": rows, "runs": costs}


def _commit(run: Path) -> str | None:
    file = run / "environment.json"
    return json.loads(file.read_text("utf-8"))["git"] if file.is_file() else None


def draw(grid: Grid, members: Sequence[Member], layout: Layout, file: Path) -> None:
    """The curves of a grid as one picture."""
    trained, judged = panels_of(curves_of(members, layout), grid.metrics)
    trained = [panel for panel in trained if not panel.title.endswith("teacher_temp")]
    wide = max(len(trained), len(judged))
    figure = Figure(figsize=(3.9 * wide, 6.3), layout="constrained")
    FigureCanvasAgg(figure)
    names = [cell.name for cell in grid.cells]
    for row, panels in enumerate((trained, judged)):
        for place, panel in enumerate(panels, 1):
            plot(panel, names, figure.add_subplot(2, wide, row * wide + place))
    keys = []
    for index, cell in enumerate(grid.cells):
        colour, dash = style_of(index)
        keys.append(Line2D([], [], color=colour, linestyle=dash, linewidth=2.5, label=cell.beside(grid.cells[0])))
    figure.legend(handles=keys, loc="outside upper center", ncols=min(4, len(keys)), fontsize=9, frameon=False)
    figure.savefig(file, dpi=80)


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the ablations; what is there already is kept")
    parser.add_argument("--grids", nargs="+", default=GRIDS, choices=GRIDS)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    machine = page.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    lines = page.heading("Ablations at the quickstart's size", "python benchmarks/ablations.py FOLDER", machine)
    lines += [EXPLAINED + " What they say is told in [ablations.md](../ablations.md).", ""]
    data: dict[str, Any] = {"machine": machine}
    registry = load_registry()
    for name in args.grids:
        if run(name, args.folder, args.jobs):
            print(f"{name}: not all runs finished", file=sys.stderr)
        path = shipped_grid(f"ablations/{name}")
        assert path is not None
        grid = read_grid(path)
        more, data[name] = section(name, grid, plan(grid, registry), Layout(args.folder / name))
        lines += more
    page.write("ablations", lines, data, args.out)


if __name__ == "__main__":
    main()
