"""How a step's time grows with batch, prototypes and small crops, beside the reference's own step.

    python benchmarks/growth.py --reference DIR      # a checkout of facebookresearch/dino; one thread of a CPU

One size changes at a time; both sides take turns within a size. Writes docs/benchmarks/growth.md, growth.json and
growth.png.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from pathlib import Path

import page
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from step import LENGTH, recipe, reference, timed, views

from sslkit.data.batch import Batch
from sslkit.engine.build import build_run
from sslkit.recipe.load import load_recipe
from sslkit.report.bench import Steps

BASE = {"batch": 4, "out_dim": 8192, "locals": 4}
GROWTH = {"batch": (1, 2, 4, 8, 16), "out_dim": (1024, 8192, 65536), "locals": (0, 2, 4, 8)}
NAMES = {"batch": "images a batch", "out_dim": "prototypes K", "locals": "small crops"}
FIXED = {"arch": "tiny", "patch": 16, "global_size": 224, "local_size": 96, "precision": "fp32"}

Rounds = dict[str, list[float]]


def measure(sizes: dict[str, int], args: argparse.Namespace) -> Rounds:
    """Milliseconds a step of each round by side."""
    device = torch.device("cpu")
    shape = argparse.Namespace(**FIXED, **sizes, reference=args.reference)
    steps = Steps(build_run(load_recipe(recipe(shape)), LENGTH, None, device), LENGTH)
    batch = Batch(views(shape), torch.arange(shape.batch), None)
    sides = {"sslkit": lambda: steps.step(batch), "reference": reference(shape, device)}
    found: Rounds = {side: [] for side in sides}
    for number in range(args.rounds + 1):
        for side, step in sides.items():
            took = timed(step, 1, device)
            if number:  # the first round of each warms up
                found[side].append(took)
    return found


def draw(found: dict[str, dict[int, Rounds]], file: Path) -> None:
    """A panel for each size that grows, a line for each side: medians, and least to greatest as a band."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, curve) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        for side, colour in (("sslkit", "tab:blue"), ("reference", "tab:gray")):
            rounds = [curve[size][side] for size in curve]
            axes.plot(list(curve), [statistics.median(own) for own in rounds], "o-", color=colour, label=side)
            least, most = [min(own) for own in rounds], [max(own) for own in rounds]
            axes.fill_between(list(curve), least, most, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel=NAMES[name], ylabel="ms a step", ylim=(0, None))
        if name == "out_dim":
            axes.set_xscale("log", base=2)
    figure.axes[0].legend(frameon=False)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="a checkout of facebookresearch/dino")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = page.machine(torch.device("cpu"))
    found = {name: {size: measure({**BASE, name: size}, args) for size in sizes} for name, sizes in GROWTH.items()}
    command = shlex.join(["python", "benchmarks/growth.py", "--reference", "DIR"])
    rows = [
        [NAMES[name], size, *(statistics.median(rounds[side]) for side in ("sslkit", "reference")),
         statistics.median(rounds["reference"]) / statistics.median(rounds["sslkit"]),
         min(rounds["reference"]) / min(rounds["sslkit"])]
        for name, curve in found.items() for size, rounds in curve.items()
    ]  # fmt: skip
    base = ", ".join(f"{NAMES[name]} {size}" for name, size in BASE.items())
    head = ["grows", "to", "sslkit, ms", "reference, ms", "ratio", "ratio of minima"]
    lines = page.heading("How a step grows", command, machine)
    lines += [
        f"ViT-Ti/16, 2x224 and crops of 96, float32; what does not grow: {base}. Medians of {args.rounds} rounds, in "
        "turns.",
        "",
        *page.table(head, rows),
        "![milliseconds of a step, by batch, prototypes and small crops](growth.png)",
    ]
    draw(found, args.out / "growth.png")
    page.write("growth", lines, {"command": command, "machine": machine, "ms": found}, args.out)


if __name__ == "__main__":
    main()
