"""JPEG files to augmented views, one core: exact and fast pixels of multi-crop, decoding alone, and the reference.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --reference DIR      # a checkout of facebookresearch/dino
    python benchmarks/pipeline.py --reference DIR --width 4000 --short-side 512 --name pipeline_large

Pictures of 500 x 375 pixels (benchmarks/jpeg_folder.py), two crops of 224 and eight of 96. Every round has so many
images of each side, in turn; processor seconds are counted, not those on the wall. Writes docs/benchmarks/NAME.md and
NAME.json.
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
from sslkit.engine.build import dataset, prepared_images, training_images
from sslkit.engine.construct import construct
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from

Work = Callable[[int], object]


def augmented(root: Path, pixels: str, **train: object) -> AugmentedImages:
    """What the loader indexes in training, with these options of the recipe's ``train``."""
    overrides = {"data": {"name": "image_folder", "root": str(root)}, "augment.pixels": pixels, "train.workers": 0}
    overrides |= {f"train.{name}": value for name, value in train.items()}
    recipe = load_recipe("dino_vits16", overrides_from(overrides))
    images = prepared_images(recipe, training_images(recipe, dataset(recipe.data)))
    return AugmentedImages(images, construct(recipe.augment, {"channels": 3}), 3, 0)  # type: ignore[arg-type]


def ours(root: Path, pixels: str, **train: object) -> Work:
    """The loader's own work on one image."""
    views = augmented(root, pixels, **train)
    return lambda index: views[0, index % len(views.images)]


def of_sslkit(root: Path, cache: str) -> dict[str, Work]:
    """Every way to make the views."""
    return {
        "exact": ours(root, "exact"),
        "fast": ours(root, "fast"),
        "fast, cached": ours(root, "fast", cache=cache),
        "device": ours(root, "device"),
        "device, cached": ours(root, "device", cache=cache),
    }


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


def arguments() -> tuple[argparse.Namespace, str]:
    """The command line, and how the page shows it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--files", type=int, default=64, help="pictures that there are")
    parser.add_argument("--images", type=int, default=24, help="of each side in a round")
    parser.add_argument("--width", type=int, default=500, help="of the pictures, in pixels; they are 4:3")
    parser.add_argument("--short-side", type=int, help="measure train.short_side too")
    parser.add_argument("--name", default="pipeline", help="of the page")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    command = ["python", "benchmarks/pipeline.py", *(["--reference", "DIR"] if args.reference else [])]
    for option in ("rounds", "width", "short_side", "files", "images", "name"):
        if getattr(args, option) != parser.get_default(option):
            command += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    return args, shlex.join(command)


def main() -> None:
    """Measure, print and write."""
    args, command = arguments()
    torch.set_num_threads(1)
    machine = page.machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "train"
        files = jpeg_folder.write_few(Path(folder), args.files, args.width)
        sides: dict[str, Work] = {"reference": reference(args.reference.absolute(), files)} if args.reference else {}
        sides |= of_sslkit(root, str(Path(folder) / "cache")) | {"decode only": decoded(files)}
        if args.short_side:
            names = ("exact", "fast", "device")
            sides |= {f"{name}, shrunk": ours(root, name, short_side=args.short_side) for name in names}
        found = measure(sides, args.rounds, args.images)
    base = next(iter(found))
    rows: list[list[object]] = [["minimum", *(min(of) for of in found.values())]]
    rows.append(["median", *(statistics.median(of) for of in found.values())])
    rows.append([f"median ratio to {base}", *(ratio(of, found[base]) for of in found.values())])
    rows += [[f"round {i + 1}", *(of[i] for of in found.values())] for i in range(args.rounds)]
    lines = page.heading("JPEG files to views, one core", command, machine)
    lines += [
        f"Images a processor second, of pictures of {args.width} x {args.width * 3 // 4} pixels, to 2 views of 224 and "
        f"8 of 96 pixels; a round is {args.images} images of each side, in turn. The reference ends with normalised "
        "floats, sslkit with bytes, which are normalised on the device. `device`: what the loader does for views that "
        "are made on the device. `cached`: from a cache of images with a short side of at most 512.",
        *([f"`shrunk`: with train.short_side {args.short_side}."] if args.short_side else []),
        "",
        *page.table(["", *found], rows),
    ]
    data: dict[str, Any] = {"command": command, "machine": machine, "rounds": found}
    page.write(args.name, lines, data, args.out)


def ratio(side: list[float], base: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(side, base, strict=True))


if __name__ == "__main__":
    main()
