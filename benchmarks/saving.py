"""What a checkpoint costs a run: written in the foreground, and in the background.

    python benchmarks/saving.py              # on a GPU where there is one

A ViT-S/16 with K 65536, 2x224 + 8x96. In each round of either kind a checkpoint is due after the first of several
steps; what they take beyond as many steps without one is its cost. Writes docs/benchmarks/saving.md and saving.json.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

import page
import torch
from step import LENGTH, recipe, views

from sslkit.data.batch import Batch
from sslkit.engine.build import build_run
from sslkit.engine.checkpoint import CheckpointStore
from sslkit.engine.hooks import Watching
from sslkit.engine.saving import Saving
from sslkit.engine.standing import Standing
from sslkit.recipe.load import load_recipe
from sslkit.recipe.settings import Checkpointing
from sslkit.report.bench import Steps

SIZES = {"patch": 16, "locals": 8, "global_size": 224, "local_size": 96, "out_dim": 65536, "arch": "small"}
KINDS = {"none": None, "foreground": False, "background": True}


def measure(args: argparse.Namespace, folder: Path) -> tuple[dict[str, list[float]], float]:
    """Seconds of the steps of each round by kind, and GB of a checkpoint."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = argparse.Namespace(**SIZES, batch=args.batch, precision=args.precision)
    run = build_run(load_recipe(recipe(shape)), LENGTH, None, device)
    batch = Batch(views(shape), torch.arange(args.batch), None).to(device)
    store, steps = CheckpointStore(folder), Steps(run, LENGTH)
    saves = {kind: Saving(run, Checkpointing(background=how), store, Watching({})) for kind, how in KINDS.items()}
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(args.rounds + 1):
        for kind, saving in saves.items():
            began = time.perf_counter()
            for step in range(args.steps):
                steps.step(batch)
                if step == 0 and kind != "none":
                    saving.save(Standing(step=number), goes_on=True)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:  # the first round of each warms up
                found[kind].append(time.perf_counter() - began)
            saving.wait()
    size = sum(file.stat().st_size for file in next(folder.glob("step-*")).iterdir())
    for saving in saves.values():
        saving.close()
    return found, size / 1e9


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--steps", type=int, default=4, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = page.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    with tempfile.TemporaryDirectory() as folder:
        found, size = measure(args, Path(folder))
    middle = {kind: statistics.median(rounds) for kind, rounds in found.items()}
    least = {kind: min(rounds) for kind, rounds in found.items()}
    command = shlex.join(["python", "benchmarks/saving.py", *sys.argv[1:]])
    rows = [
        [kind, middle[kind], middle[kind] - middle["none"], least[kind] - least["none"]]
        for kind in KINDS
    ]  # fmt: skip
    lines = page.heading("What a checkpoint costs", command, machine)
    lines += [
        f"ViT-S/16, 2x224 + 8x96, K 65536, batch {args.batch}, {args.precision}; a checkpoint of {size:.2f} GB after "
        f"the first of {args.steps} steps; seconds of those steps, {args.rounds} rounds.",
        "",
        *page.table(["checkpoint", "median, s", "its cost", "its cost, of minima"], rows),
    ]
    page.write("saving", lines, {"command": command, "machine": machine, "GB": size, "seconds": found}, args.out)


if __name__ == "__main__":
    main()
