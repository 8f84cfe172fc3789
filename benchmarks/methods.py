"""Every method's small recipe over several seeds: what it learns beyond random weights, in how much time and memory.

    python benchmarks/methods.py
    python benchmarks/methods.py --data clipart
    python benchmarks/methods.py --methods byol simsiam --seeds 0 --jobs 1 --set data.root=DIR

Each run is one command ``sslkit fit --recipe METHOD_fashion``; ``--jobs`` of them run side by side, each on one thread.
With ``--data clipart`` the same recipes train on clip art, each with the colour changes of its method's paper.
Writes docs/benchmarks/methods.md and methods.json, or methods_clipart.md and methods_clipart.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import page
import torch
from quickstart import fit

from sslkit.recipe.find import list_recipes
from sslkit.recipe.load import load_recipe

METHODS = (
    "simclr", "mocov2", "mocov3", "byol", "simsiam", "swav", "barlow", "vicreg", "dino", "supervised",
)  # fmt: skip
MEASURES = {
    "k-NN, clean": "knn/k20_top1",
    "k-NN, transformed": "knn_transformed/k20_top1",
    "linear": "linear_cached/top1",
}
Summaries = Sequence[Mapping[str, Any]]

#: What the page says of the data set.
DATA = {"fashion_mnist": "Fashion-MNIST's 10,000 test images", "clipart": "518 pieces of clip art"}
TITLES = {"fashion_mnist": "Every method on Fashion-MNIST", "clipart": "Every method on clip art"}
#: Clip art at 32 pixels, in about as many steps as Fashion-MNIST has: 40 epochs of 16.
CLIPART: dict[str, Any] = {
    "data": "clipart",
    "preprocess.size": 32, "preprocess.channels": 3, "preprocess.mean": [0.5] * 3, "preprocess.std": [0.5] * 3,
    "augment.global_size": 32, "augment.local_size": 16, "augment.rotation": 0.0, "train.epochs": 40,
}  # fmt: skip
#: What an epoch of 16 steps and 2,073 images asks of single methods.
CLIPART_OF: dict[str, dict[str, Any]] = {
    "dino": {"loss.warmup_teacher_temp_epochs": 10},
    "mocov2": {"loss.queue_length": 1024},
    "swav": {"loss.queue_length": 640, "predictor.freeze_steps": 16},
}
#: Options of the augmentation that are each paper's own where images have colour.
COLOURS = ("jitter", "brightness", "contrast", "saturation", "hue", "grayscale")


def measure(args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """By method, the summary of every seed."""
    todo = [(method, seed) for method in args.methods for seed in args.seeds]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda run: _fit(*run, Path(folder), args), todo))
    return {method: [s for (of, _), s in zip(todo, found, strict=True) if of == method] for method in args.methods}


def on_clipart(method: str) -> list[str]:
    """Overrides that train a method's small recipe on clip art, with its paper's colour changes."""
    paper = next(recipe.name for recipe in list_recipes() if recipe.name in (f"{method}_resnet50", f"{method}_vits16"))
    options = load_recipe(paper).augment.options
    colours = {f"augment.{name}": options[name] for name in COLOURS if name in options}
    pairs = CLIPART | colours | CLIPART_OF.get(method, {})
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in pairs.items()]


def _fit(method: str, seed: int, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    overrides = on_clipart(method) if args.data == "clipart" else []
    overrides += [f"--{pair}" for pair in args.set]
    summary = fit(f"{method}_fashion", seed, folder / f"{method}{seed}", overrides)
    net = "teacher" if "teacher/knn/k20_top1" in summary else "student"
    # which of the two nets is judged differs between methods
    return {key.replace(f"{net}/", ""): value for key, value in summary.items()}


def cell(summaries: Summaries, key: str) -> str:
    """Mean and standard deviation (of a sample) of one number, or a dash."""
    if any(key not in summary for summary in summaries):
        return "-"
    values = [float(summary[key]) for summary in summaries]
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{deviation}"


def rows(found: Mapping[str, Summaries]) -> list[list[object]]:
    """Raw pixels and random weights, then a row a method."""
    first = next(iter(found.values()))
    # an epoch-0 net of another method has the same backbone, and so the same numbers
    raw = [cell(first, key.replace("/", "/raw_pixels_")) for key in MEASURES.values()]
    start = [cell(first, f"start/{key}") for key in MEASURES.values()]
    table: list[list[object]] = [["raw pixels", *raw, "", ""], ["random weights", *start, "", ""]]
    for method, summaries in found.items():
        learned = [cell(summaries, key) for key in MEASURES.values()]
        table.append([method, *learned, cell(summaries, "seconds"), cell(summaries, "peak_memory_mb")])
    return table


def body(found: Mapping[str, Summaries], data: str) -> list[str]:
    """The page's table and what it says."""
    seeds = len(next(iter(found.values())))
    return [
        f"Accuracy in percent on {DATA[data]}, mean ± standard deviation over {seeds} seeds; the "
        "transformed test images are cropped to 50-100% of their area and turned by up to 25 degrees, while those they "
        "are compared with stay clean. Seconds are the training loop's, of runs side by side; memory is the peak of "
        "the process, in MB. Every number of every run is in the JSON file beside this page.",
        "",
        *page.table(["", *MEASURES, "seconds", "memory"], rows(found)),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--data", default="fashion_mnist", choices=DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of every recipe")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    command = shlex.join(["python", "benchmarks/methods.py", *page.without_out(sys.argv[1:])])
    machine = page.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    found = measure(args)
    top = page.heading(TITLES[args.data], command, machine)
    name = "methods" if args.data == "fashion_mnist" else f"methods_{args.data}"
    page.write(name, top + body(found, args.data), {"command": command, "machine": machine, "methods": found}, args.out)


if __name__ == "__main__":
    main()
