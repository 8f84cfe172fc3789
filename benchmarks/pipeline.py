"""JPEG files to augmented views, one core: exact and fast pixels of multi-crop, decoding alone, and the reference.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --reference DIR      # a checkout of facebookresearch/dino

Pictures of 500 x 375 pixels (benchmarks/jpeg_folder.py), two crops of 224 and eight of 96. Every round has so many
images of each side, in turn; processor seconds are counted, not those on the wall. Writes docs/benchmarks/pipeline.md
and pipeline.json.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jpeg_folder
import numpy as np
import page
import torch
from PIL import Image

from sslkit.data.loading import AugmentedImages
from sslkit.engine.build import dataset
from sslkit.engine.cache import cached
from sslkit.engine.construct import construct
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from

Work = Callable[[int], object]


def augmented(root: Path, pixels: str, cache: Path | None = None) -> AugmentedImages:
    """What the loader indexes in training; from a cache of decoded images, if one is named."""
    overrides = {"data": {"name": "image_folder", "root": str(root)}, "augment.pixels": pixels}
    recipe = load_recipe("dino_vits16", overrides_from(overrides))
    images = dataset(recipe.data).split("train")
    assert images is not None
    if cache is not None:
        images = cached(images, cache, 512, 3, 0)
    return AugmentedImages(images, construct(recipe.augment, {"channels": 3}), 3, 0)  # type: ignore[arg-type]


def ours(root: Path, pixels: str, cache: Path | None = None) -> Work:
    """The loader's own work on one image."""
    views = augmented(root, pixels, cache)
    return lambda index: views[0, index % len(views.images)]


def decoded(files: list[Path]) -> Work:
    """Pillow's decoding, and the pixels as an array."""
    return lambda index: np.asarray(Image.open(files[index % len(files)]).convert("RGB"))


def reference_views(folder: Path) -> Callable[[Image.Image], object]:
    """The reference's own augmentation, from a checkout of it."""
    sys.path.insert(0, str(folder))
    import main_dino  # type: ignore[import-not-found]

    return main_dino.DataAugmentationDINO((0.4, 1.0), (0.05, 0.4), 8)


def reference(folder: Path, files: list[Path]) -> Work:
    """The reference's work on one image."""
    transform = reference_views(folder)
    return lambda index: transform(Image.open(files[index % len(files)]).convert("RGB"))


def measure(sides: dict[str, Work], rounds: int, images: int) -> dict[str, list[float]]:
    """Images a processor second, by side and round."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for work in sides.values():
        work(0)
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            began = time.process_time()
            for index in range(images):
                sides[name](number * images + index)
            found[name].append(images / (time.process_time() - began))
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--images", type=int, default=24, help="of each side in a round")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shown = ["--reference", "DIR"] if args.reference else []
    command = shlex.join(["python", "benchmarks/pipeline.py", *shown])
    machine = page.machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "train"
        files = jpeg_folder.write_few(Path(folder), 64)
        sides: dict[str, Work] = {"reference": reference(args.reference.absolute(), files)} if args.reference else {}
        cache = Path(folder) / "cache"
        sides |= {
            "exact": ours(root, "exact"),
            "fast": ours(root, "fast"),
            "fast, cached": ours(root, "fast", cache),
            "device": ours(root, "device"),
            "device, cached": ours(root, "device", cache),
            "decode only": decoded(files),
        }
        found = measure(sides, args.rounds, args.images)
    base = next(iter(found))
    rows: list[list[object]] = [["minimum", *(min(of) for of in found.values())]]
    rows.append(["median", *(statistics.median(of) for of in found.values())])
    rows.append([f"median ratio to {base}", *(ratio(of, found[base]) for of in found.values())])
    rows += [[f"round {i + 1}", *(of[i] for of in found.values())] for i in range(args.rounds)]
    lines = page.heading("JPEG files to views, one core", command, machine)
    lines += [
        "Images a processor second, of pictures of 500 x 375 pixels, to 2 views of 224 and 8 of 96 pixels; a round is "
        f"{args.images} images of each side, in turn. The reference ends with normalised floats, sslkit with bytes, "
        "which are normalised on the device. `device`: what the loader does for views that are made on the device.",
        "",
        *page.table(["", *found], rows),
    ]
    data: dict[str, Any] = {"command": command, "machine": machine, "rounds": found}
    page.write("pipeline", lines, data, args.out)


def ratio(side: list[float], base: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(side, base, strict=True))


if __name__ == "__main__":
    main()
