"""sslkit on one GPU beside the reference: step, views made on the device, a fed run, k-NN; one call of minutes.

    python benchmarks/gpu.py --reference DIR      # a checkout of facebookresearch/dino

Writes docs/benchmarks/gpu.md, gpu.json and gpu_profile.txt.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jpeg_folder
import page
import torch
from evaluation import features, measure, neighbours
from gpu_sides import device_views, fed, free, steps


def lines(found: dict[str, Any]) -> list[str]:
    """The page's body."""
    return [*_step_lines(found), *_other_lines(found)]


def _step_lines(found: dict[str, Any]) -> list[str]:
    told: list[str] = []
    for size, step in found["steps"].items():
        times, rate = step["milliseconds"], step["flops"]
        base = next((name for name in times if name.startswith("reference")), next(iter(times)))
        rows: list[list[object]] = []
        for name, of in times.items():
            middle = statistics.median(of)
            ratio = statistics.median(b / a for a, b in zip(of, times[base], strict=True))
            images = 1000 * int(size) / middle
            share = f"{100 * rate / (middle / 1000) / step['ceiling']:.1f}%"
            rows.append([name, min(of), middle, f"{images:.0f}", ratio, share, step["memory"][name],
                         f"{step['launches'][name]:.0f}", f"{step['syncs'][name]:.0f}"])  # fmt: skip
        told += [
            f"## Step, batch {size}",
            "",
            f"ViT-S/16, 2x224 + 8x96, K 65536; {rate / int(size) / 1e9:.1f} GFLOP an image by counting; a product of "
            f"matrices of 8192 reaches {step['ceiling'] / 1e12:.0f} TFLOP/s in bf16. Milliseconds a step, in turn.",
            "",
            *page.table(
                ["", "minimum", "median", "images/s", f"times {base}", "of the ceiling", "GiB", "launches", "syncs"],
                rows,
            ),
            "Losses of the first ten steps:",
            "",
            *page.table(
                ["", *map(str, range(1, 11))],
                [[name, *(f"{x:.3f}" for x in of)] for name, of in step["losses"].items()],
            ),
            "",
        ]
    return told


def _other_lines(found: dict[str, Any]) -> list[str]:
    seen = found["views"]
    return [
        "## Views made on the device",
        "",
        f"A batch of {found['batch']} pictures of 500 x 375 pixels to 2 views of 224 and 8 of 96: "
        f"{statistics.median(seen['milliseconds']):.1f} ms, {seen['syncs']} syncs; "
        f"{statistics.mean(seen['apart']):.2f} of 255 from Pillow's pixels in the mean.",
        "",
        f"## A run fed from JPEG files, {found['workers']} loader processes, batch {found['batch']}, compiled",
        "",
        *page.table(
            ["pixels", "images/s", "step alone", "loader alone", "waiting", "of the ceiling"],
            [
                [name, *(f"{of[key]:.0f}" for key in ("images/s", "step alone", "loader alone")),
                 *(f"{100 * of[key]:.1f}%" for key in ("share of waiting", "share of the ceiling"))]
                for name, of in found["fed"].items()
            ],
        ),
        "## k-NN, 10,000 queries among 50,000 features of width 384, k 10, 20, 100, 200",
        "",
        *page.table(
            ["", "minimum s", "median s", "accuracy at k = 10, 20, 100, 200"],
            [
                [name, min(of), statistics.median(of),
                 ", ".join(f"{top1:.2f}" for top1, _ in found["knn"]["results"][name].values())]
                for name, of in found["knn"]["seconds"].items()
            ],
        ),
    ]  # fmt: skip


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--batches", type=int, nargs="+", default=[64])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10, help="of each side in a round")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--images", type=int, default=4096, help="JPEG files")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    sizes = {"arch": "small", "patch": 16, "global_size": 224, "local_size": 96, "locals": 8, "out_dim": 65536}
    return argparse.Namespace(**vars(args), **sizes, precision="bf16")


def main() -> None:
    """Measure, print and write."""
    args = arguments()
    device, notes = torch.device("cuda", 0), []
    machine = page.machine(device)
    found: dict[str, Any] = {"steps": {}, "batch": args.batches[0], "workers": args.workers}
    began = time.perf_counter()

    def tell(what: str, data: object) -> None:
        # as it comes: a call that is cut off still tells what it found
        print(f"{time.perf_counter() - began:.0f} s: {what}: {json.dumps(data)}", flush=True)

    for batch in args.batches:
        args.batch = batch
        found["steps"][batch] = steps(args, device, notes)
        free()
        tell(f"steps of {batch}", found["steps"][batch])
        if batch == args.batches[0]:
            with tempfile.TemporaryDirectory() as folder:
                jpeg_folder.write_few(Path(folder), args.images)
                found["fed"] = fed(Path(folder), batch, args.workers, device)
            tell("fed", found["fed"])
            found["views"] = device_views(batch, device)
            tell("views", found["views"])
    found["knn"] = measure(neighbours(args.reference, features(50_000, 10_000, 1000, device)), 6, device)
    tell("k-NN", found["knn"])
    command = shlex.join(["python", "benchmarks/gpu.py", *(["--reference", "DIR"] if args.reference else [])])
    top = page.heading("One GPU", command, machine)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu_profile.txt").write_text("\n".join(notes), encoding="utf-8")
    page.write("gpu", top + lines(found), {"command": command, "machine": machine, **found}, args.out)


if __name__ == "__main__":
    sys.exit(main())
