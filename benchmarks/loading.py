"""How the loader grows with its processes, and listing a folder with its files, beside the reference's own way.

    python benchmarks/loading.py --reference DIR      # a checkout of facebookresearch/dino

The loader: images a second on the wall, from pictures of 500 x 375 pixels to two crops of 224 and eight of 96, the
first batches left out, in which its processes start. Listing: empty files in a hundred folders; the reference lists by
torchvision's ImageFolder. Writes docs/benchmarks/loading.md and loading.json.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jpeg_folder
import page
import torch
from pipeline import augmented, ratio, reference_views
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from sslkit.data.loading import StepSampler, loaded, make_loader
from sslkit_vision import file_listing, image_folder

BATCH, CLASSES = 16, 100
Batches = Callable[[int], Iterator[Any]]


def ours(root: Path, pixels: str) -> Batches:
    """Batches of so many loader processes, without end."""
    views = augmented(root, pixels)
    sampler = StepSampler(len(views.images), BATCH, 0, 0, 10**6)
    return lambda workers: loaded(make_loader(views, sampler, workers=workers, timeout=0, pin=False))


def reference(folder: Path, root: Path) -> Batches:
    """The same with the reference's augmentation and its loader, epoch after epoch."""
    images = ImageFolder(str(root / "train"), transform=reference_views(folder))

    def batches(workers: int) -> Iterator[Any]:
        loader = DataLoader(
            images, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
        )
        while True:
            yield from loader

    return batches


def speed(batches: Iterator[Any], skipped: int, count: int) -> float:
    """Images a second of so many batches, after those that are skipped."""
    for _ in islice(batches, skipped):
        pass
    began = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return BATCH * count / (time.perf_counter() - began)


def grown(sides: dict[str, Batches], workers: list[int], rounds: int, count: int) -> dict[str, dict[int, list[float]]]:
    """Images a second by side, loader processes and round, in turns."""
    found: dict[str, dict[int, list[float]]] = {name: {number: [] for number in workers} for name in sides}
    for number in range(rounds):
        for many in workers:
            for name in sorted(sides, reverse=number % 2 == 1):
                # queues that were filled while nothing was asked for would count as speed
                found[name][many].append(speed(sides[name](many), 2 * many + 2, count))
    return found


def listed(root: Path, files: int, rounds: int) -> dict[str, list[float]]:
    """Seconds to list so many files of a hundred classes, by side and round."""
    for number in range(files):
        if number < CLASSES:
            (root / f"{number:03}").mkdir(parents=True)
        (root / f"{number % CLASSES:03}" / f"{number:08}.jpg").touch()
    file_listing._SETTLED = -3600  # as if made long ago: a folder that has just changed is not remembered
    with tempfile.TemporaryDirectory() as beside:
        return _in_turn(root, Path(beside, "listing.json"), rounds)


def _in_turn(root: Path, memory: Path, rounds: int) -> dict[str, list[float]]:
    sides: dict[str, Callable[[], object]] = {
        "sslkit": lambda: image_folder.ImageFolder(str(root)),
        "sslkit, remembered": lambda: image_folder.ImageFolder(str(root), listing=str(memory)),
        "reference": lambda: ImageFolder(str(root)),
    }
    sides["sslkit, remembered"]()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            began = time.perf_counter()
            sides[name]()
            found[name].append(time.perf_counter() - began)
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="a checkout of facebookresearch/dino")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000, 1_300_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="of each side in a round")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    args = arguments()
    torch.set_num_threads(1)
    machine = page.machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        jpeg_folder.write_few(root, 256)
        sides = {"reference": reference(args.reference.absolute(), root)}
        sides |= {pixels: ours(root / "train", pixels) for pixels in ("exact", "fast")}
        loader = grown(sides, args.workers, args.rounds, args.batches)
    listing = {}
    for files in args.files:
        with tempfile.TemporaryDirectory() as folder:
            listing[files] = listed(Path(folder), files, 3)
    command = shlex.join(["python", "benchmarks/loading.py", "--reference", "DIR"])
    rows = [
        [name, many, min(of), statistics.median(of), max(of), ratio(of, loader["reference"][many])]
        for name, curve in loader.items()
        for many, of in curve.items()
    ]
    lines = page.heading("How loading grows", command, machine)
    lines += [
        f"The loader alone, batches of {BATCH}, {args.rounds} rounds, in turns: images a second on the wall.",
        "",
        *page.table(["", "loader processes", "minimum", "median", "maximum", "times the reference"], rows),
        f"Listing files of {CLASSES} classes whose names the system has in memory: seconds, medians of three rounds.",
        "",
        *page.table(
            ["files", "sslkit", "from a listing file", "reference (torchvision's ImageFolder)"],
            [[f"{files:,}", *map(statistics.median, of.values())] for files, of in listing.items()],
        ),
    ]
    page.write(
        "loading", lines, {"command": command, "machine": machine, "loader": loader, "listing": listing}, args.out
    )


if __name__ == "__main__":
    main()
