"""The most memory that a training step needs, sslkit's and the reference's, each in a process of its own.

    python benchmarks/memory.py --reference DIR      # a checkout of facebookresearch/dino

Two steps on a CPU; what the process held before it built anything is taken off. Writes docs/benchmarks/memory.md and
memory.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import page
import torch
from step import DROP_PATH, LENGTH, recipe, views

from reference_dino import ReferenceDino, normalised
from sslkit.data.batch import Batch
from sslkit.engine.build import build_run
from sslkit.engine.processor import processor
from sslkit.engine.step import training_step
from sslkit.parts.position import Position
from sslkit.recipe.load import load_recipe

SIZES = {"patch": 16, "locals": 8, "global_size": 224, "local_size": 96, "out_dim": 65536}


def held() -> float:
    """The most that this process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def one(args: argparse.Namespace) -> float:
    """Two steps of one side; GiB beyond the imports."""
    torch.set_num_threads(args.threads)
    device, before = torch.device("cpu"), held()
    shape = argparse.Namespace(**SIZES, arch=args.arch, batch=args.batch, precision=args.side.removeprefix("sslkit "))
    if args.side == "reference":
        dino = ReferenceDino(args.reference, f"vit_{args.arch}", 16, 8, SIZES["out_dim"], DROP_PATH, False, device)
        dino.steps(normalised(views(shape)), 2)
    else:
        with processor(device, args.threads):
            run = build_run(load_recipe(recipe(shape)), LENGTH, None, device)
            batch = Batch(views(shape), torch.arange(args.batch), None)
            for step in range(2):
                training_step(run, batch, Position(step, LENGTH.total, LENGTH.steps_per_epoch))
    return held() - before


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--arch", choices=("tiny", "small"), default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", help="measure this one, in this process")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(one(args)))
        return
    machine = page.machine(torch.device("cpu"))
    sides = ["sslkit fp32", "sslkit bf16", *(["reference"] if args.reference else [])]
    found = {}
    for side in sides:
        words = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--side", side]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        found[side] = float(told.splitlines()[-1])
    base = found[sides[-1]]
    command = shlex.join(["python", "benchmarks/memory.py", *(["--reference", "DIR"] if args.reference else [])])
    lines = page.heading("Memory of a training step", command, machine)
    lines += [
        f"ViT {args.arch}/16, 2x224 + 8x96, K 65536, batch {args.batch}, two steps on a CPU; GiB beyond the imports.",
        "",
        *page.table(["", "GiB", f"of {sides[-1]}"], [[side, of, of / base] for side, of in found.items()]),
    ]
    page.write("memory", lines, {"command": command, "machine": machine, "GiB": found}, args.out)


if __name__ == "__main__":
    main()
