"""What it gives a run on a CPU to keep the memory that a step frees (sslkit/engine/processor.py).

    python benchmarks/kept_memory.py

A step of ViT-Ti/16, 2x224 + 8x96, K 65536, float32, one thread, without and with it in turn; the first step after each
change is left out. Linux with glibc. Writes docs/benchmarks/kept_memory.md and kept_memory.json.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import statistics
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import page
import torch
from step import LENGTH, recipe, timed, views

from sslkit.data.batch import Batch
from sslkit.engine.build import build_run
from sslkit.engine.processor import processor
from sslkit.recipe.load import load_recipe
from sslkit.report.bench import Steps

SHAPE = {"arch": "tiny", "patch": 16, "locals": 8, "global_size": 224, "local_size": 96, "out_dim": 65536}
CPU = torch.device("cpu")


def page_faults() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(batch_size: int, rounds: int, count: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each step, and page faults of each round, by side."""
    shape = argparse.Namespace(**SHAPE, batch=batch_size, precision="fp32")
    steps = Steps(build_run(load_recipe(recipe(shape)), LENGTH, None, CPU), LENGTH)
    batch = Batch(views(shape), torch.arange(batch_size), None)
    found: dict[str, dict[str, list[float]]] = {
        side: {"milliseconds": [], "page faults": []} for side in ("usual", "kept")
    }
    for _ in range(rounds):
        for side, of in found.items():
            with processor(CPU, 1) if side == "kept" else nullcontext():
                steps.step(batch)
                before = page_faults()
                of["milliseconds"] += [timed(lambda: steps.step(batch), 1, CPU) for _ in range(count)]
                of["page faults"].append((page_faults() - before) / count)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each side in a round")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    command = shlex.join(["python", "benchmarks/kept_memory.py", *page.without_out(sys.argv[1:])])
    machine = page.machine(CPU)
    found: dict[str, Any] = measure(args.batch, args.rounds, args.steps)
    rows = [
        [
            side,
            min(of["milliseconds"]),
            statistics.median(of["milliseconds"]),
            round(statistics.median(of["page faults"])),
        ]
        for side, of in found.items()
    ]
    usual, kept = (found[side]["milliseconds"] for side in found)
    lines = page.heading("Keeping what a step frees", command, machine)
    lines += [
        f"ViT-Ti/16, 2x224 + 8x96, K 65536, batch {args.batch}, float32; {args.rounds} rounds of {args.steps} steps of "
        "each side, in turn.",
        "",
        *page.table(["memory", "minimum ms a step", "median", "page faults a step"], rows),
        f"Usual / kept: {min(usual) / min(kept):.3f} of the minima, "
        f"{statistics.median(usual) / statistics.median(kept):.3f} of the medians.",
        "",
        *page.table(["step", *found], [[i + 1, *pair] for i, pair in enumerate(zip(usual, kept, strict=True))]),
    ]
    page.write("kept_memory", lines, {"command": command, "machine": machine, **found}, args.out)


if __name__ == "__main__":
    main()
