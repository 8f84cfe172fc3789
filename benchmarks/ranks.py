"""Two gloo ranks of one thread beside one process of two threads: the same global batch, the same two cores.

    python benchmarks/ranks.py

Real runs of `sslkit fit` (torchrun for two), in turns; images a second of every step but the first, waiting for data
taken off. Writes docs/benchmarks/ranks.md and ranks.json.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import page
import pandas as pd
import torch
import yaml
from step import recipe

SIZES = {"patch": 16, "locals": 8, "global_size": 224, "local_size": 96}


def rates(ranks: int, file: Path, out: Path) -> list[float]:
    """Images a second of the steps of one run, the first left out, waiting for data taken off."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    words = [sys.executable, "-W", "ignore", *launch, "-m", "sslkit", "fit", "--recipe", str(file), "--out", str(out)]
    done = subprocess.run(
        words, env=os.environ | {"OMP_NUM_THREADS": str(2 // ranks)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    table = pd.read_csv(out / "metrics.csv").pivot(index="step", columns="name", values="value").iloc[1:]
    return list(table["time/images_per_second"] / (1 - table["time/data_wait_share"]))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="tiny")
    parser.add_argument("--batch", type=int, default=16, help="of both ranks together")
    parser.add_argument("--out-dim", type=int, default=65536)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    args.precision = "fp32"
    machine = page.machine(torch.device("cpu"))
    plan = recipe(argparse.Namespace(**SIZES, **vars(args)))
    plan["data"]["images"] = args.batch * args.steps
    plan["train"] |= {"epochs": 1, "workers": 0, "log_every": 1}
    plan["watch"] = {"progress": None, "tensorboard": None, "collapse": None}
    found: dict[int, list[list[float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump(plan))
        for number in range(args.rounds):
            for ranks, rounds in found.items():
                rounds.append(rates(ranks, file, Path(folder) / f"{ranks}-{number}"))
    middle = {ranks: statistics.median(statistics.median(steps) for steps in rounds) for ranks, rounds in found.items()}
    best = {ranks: max(max(steps) for steps in rounds) for ranks, rounds in found.items()}
    command = shlex.join(["python", "benchmarks/ranks.py", *page.without_out(sys.argv[1:])])
    rows = [
        [name, middle[ranks], middle[ranks] / middle[1], best[ranks] / best[1]]
        for name, ranks in (("one process, two threads", 1), ("two ranks, one thread each", 2))
    ]
    lines = page.heading("Two ranks on two cores", command, machine)
    lines += [
        f"ViT {args.arch}/16, 2x224 + 8x96, K {args.out_dim}, {args.batch} images a step in all, float32, gloo; "
        f"{args.rounds} runs of {args.steps} steps each, in turns, waiting for data taken off.",
        "",
        *page.table(["", "images/s, median", "ratio", "ratio of the best steps"], rows),
    ]
    page.write("ranks", lines, {"command": command, "machine": machine, "images_per_second": found}, args.out)


if __name__ == "__main__":
    main()
