"""Whether `multicrop.pixels` fast and device train as well as exact: the same small run, several seeds of each.

    python benchmarks/pixels.py FOLDER --seeds 8      # of the runs; what is there already is kept

DINO with the paper's colour distortions on made-up JPEGs whose tint and grain tell their class
(benchmarks/jpeg_folder.py). Writes docs/benchmarks/pixels.md and pixels.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jpeg_folder
import numpy as np
import page
import torch
from PIL import Image

import sslkit

METRIC = "teacher/knn/k20_top1"


def pictures(root: Path, train: int, test: int) -> Path:
    """Small JPEGs of eight classes."""
    for split, count in (("train", train), ("val", test)):
        for index in range(count):
            label = index % jpeg_folder.CLASSES
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{index:05}.jpg"
            if not file.is_file():
                picture = jpeg_folder.image(np.random.default_rng((split == "val", index)), label)
                picture.resize((160, 120), Image.Resampling.BICUBIC).save(file, quality=90)
    return root


def recipe(root: Path) -> dict[str, Any]:
    """A small DINO run with all of multi-crop's distortions."""
    return {
        "data": {"name": "image_folder", "root": str(root)},
        "preprocess": {"size": 32, "resize": 36},
        "augment": {
            "name": "multicrop", "local_crops": 2, "global_size": 32, "local_size": 16, "blur_radius": [0.1, 1],
        },
        "backbone": {"name": "small_convnet"},
        "head": {"name": "dino", "out_dim": 256, "hidden_dim": 256, "bottleneck_dim": 64, "use_bn": True},
        "teacher": {"name": "ema", "momentum": {"cosine": [0.98, 1.0]}},
        "loss": {"name": "dino", "warmup_teacher_temp": 0.02, "teacher_temp": 0.04, "warmup_teacher_temp_epochs": 4},
        "optimizer": {"name": "adamw", "lr": {"cosine": [2e-3, 1e-6, 2]}, "weight_decay": 0.04},
        "clip": {"name": "per_tensor", "max_norm": 3.0},
        "train": {"epochs": 15, "batch_size": 32, "lr_per_images": None, "threads": 1, "workers": 1},
        "evaluate": {"knn": {"k": [20], "at_start": True}},
        "watch": {"progress": None},
    }  # fmt: skip


def main() -> None:
    """Train, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    machine = page.machine(torch.device("cpu"))
    root = pictures(args.folder.absolute() / "pictures", 1024, 512)
    axes = {"augment.pixels": ["exact", "fast", "device"]}
    found = sslkit.ablate(
        recipe(root), axes=axes, seeds=args.seeds, metrics=[METRIC], jobs=args.jobs, out=args.folder / "ablation"
    )
    command = f"python benchmarks/pixels.py FOLDER --seeds {args.seeds}"
    lines = page.heading("Do the faster pixels train as well", command, machine)
    lines += [
        "k-NN (k = 20) of the teacher on 512 test images after 15 epochs of 1,024 made-up JPEGs of 160 x 120 pixels, "
        "two views of 32 pixels and two of 16, all distortions at the paper's strength (a blur of at most 1 pixel).",
        "",
        (args.folder / "ablation/table.md").read_text().strip(),
    ]
    page.write("pixels", lines, {"machine": machine, "results": found.to_dict("records")}, args.out)


if __name__ == "__main__":
    main()
