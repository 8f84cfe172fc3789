"""``sslkit data check``: reads every image once, before a run does."""

from __future__ import annotations

import csv
import hashlib
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch.utils.data import Dataset as TorchDataset

from sslkit.data.loading import AugmentedImages, chosen_workers, loaded, loader_of
from sslkit.data.reading import UnreadableImage, as_picture, read_image
from sslkit.engine.build import dataset
from sslkit.engine.construct import construct
from sslkit.engine.files import write_json
from sslkit.evaluation.chunks import Share
from sslkit.parts.augmenter import Augmenter
from sslkit.parts.bands import Bands
from sslkit.parts.dataset import Images
from sslkit.parts.terminal import tracked
from sslkit.recipe.model import Recipe
from sslkit.report.console import collected_warnings
from sslkit.report.crop_size import too_small
from sslkit.report.pictures import draw_views
from sslkit.report.splits import class_sizes, split_lines


@dataclass(frozen=True)
class Seen:
    """An image.

    Attributes:
        split: ``train`` or ``test``.
        name: what the data set calls it.
        width: in pixels, upright.
        height: in pixels.
        mode: Pillow's mode as it lies in the file (``RGB``, ``L``, ``CMYK`` ...), or ``bands``.
        digest: of its pixels as nets see them, so that copies in other formats without loss are found too.
        reason: why it cannot be read; empty: it can.
    """

    split: str
    name: str
    width: int = 0
    height: int = 0
    mode: str = ""
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True)
class _Scan(TorchDataset[Seen]):
    """Looks at the images of a split."""

    split: str
    images: Images
    channels: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Seen:
        name = self.images.name(index)
        try:
            picture = read_image(self.images, index, self.channels)
        except UnreadableImage as error:
            return Seen(self.split, name, reason=error.bad.reason)
        planes = picture.bands if isinstance(picture, Bands) else (picture,)
        digest = hashlib.sha256(repr(picture.size).encode())
        for plane in planes:
            digest.update(plane.tobytes())
        raw = as_picture(self.images.read(index), "the data set gave")
        mode = "bands" if isinstance(raw, Bands) else raw.mode
        return Seen(self.split, name, picture.width, picture.height, mode, digest.hexdigest())


@dataclass(frozen=True)
class Listed:
    """A data set's images before any is read.

    Attributes:
        splits: those that hold images, by name.
        warnings: what the data set warned of: files and folders that are left out, for example.
    """

    splits: Mapping[str, Images]
    warnings: tuple[str, ...]


def listed(recipe: Recipe) -> Listed:
    """The recipe's data."""
    with collected_warnings() as warnings:
        data = dataset(recipe.data)
        splits = {"train": data.split("train"), "test": data.split("test")}
    return Listed(
        {split: images for split, images in splits.items() if images is not None and len(images)}, tuple(warnings)
    )


def scan(recipe: Recipe, data: Listed) -> list[Seen]:
    """Every image of the data, in order."""
    found = []
    for split, images in data.splits.items():
        found += list(tracked(_look(recipe, split, images), f"reading {split} images", len(images)))
    return found


def _look(recipe: Recipe, split: str, images: Images) -> Iterator[Seen]:
    train, scan = recipe.train, _Scan(split, images, recipe.preprocess.channels)
    batches = Share(len(images), 64, 0, 1).batches()
    loader = loader_of(scan, batches, list, workers=chosen_workers(train.workers), timeout=train.worker_timeout)
    for batch in loaded(loader):
        yield from cast(list[Seen], batch)


@dataclass(frozen=True)
class Findings:
    """What there is to say of a data set.

    Attributes:
        lines: in sentences.
        numbers: the same as plain data.
        bad: images that cannot be read.
        copies: groups of images that are equal pixel by pixel.
    """

    lines: tuple[str, ...]
    numbers: Mapping[str, object]
    bad: tuple[Seen, ...]
    copies: tuple[tuple[Seen, ...], ...]


def findings(data: Listed, seen: Sequence[Seen], largest_view: int | None) -> Findings:
    """Sum up.

    Args:
        data: the data set.
        seen: every image.
        largest_view: side of the largest view in pixels, for which smaller images are enlarged; None: not known.
    """
    good = [image for image in seen if not image.reason]
    bad = tuple(image for image in seen if image.reason)
    sides = [min(image.width, image.height) for image in good]
    small = None if largest_view is None else sum(side < largest_view for side in sides)
    copies = tuple(group for group in _groups(good) if len(group) > 1)
    extra = sum(len(group) - 1 for group in copies)
    leaks = sum(image.split == "test" for group in copies if _both(group) for image in group)
    splits, modes = Counter(image.split for image in seen), Counter(image.mode for image in good)
    lines = [f"{len(seen)} images: " + ", ".join(f"{count} to {split}" for split, count in splits.items())]
    lines += [f"  {line}" for line in split_lines(data.splits)]
    lines += [f"warning: {warning}" for warning in data.warnings]
    if good:
        told = f"; {small} are smaller than the largest view ({largest_view}) and would be enlarged"
        short = f"short side: {min(sides)} to {max(sides)} pixels, median {statistics.median(sides):.0f}"
        lines.append(short + (told if small is not None else ""))
        if largest_view is not None and (doubt := too_small(largest_view, statistics.median(sides))) is not None:
            lines.append(f"warning: {doubt}")
        lines.append("modes: " + ", ".join(f"{mode} {count}" for mode, count in modes.most_common()))
    lines.append(f"copies: {extra} images are equal to another one, pixel by pixel" if extra else "no copies")
    if leaks:
        lines.append(f"{leaks} test images are in the training data too: what they measure is too good")
    lines.append(f"{len(bad)} images cannot be read" if bad else "all images can be read")
    lines += [f"  {image.name}: {image.reason}" for image in bad[:10]]
    lines += [f"  and {len(bad) - 10} more"] if len(bad) > 10 else []
    numbers = {
        "images": len(seen), **splits, "bad": len(bad), "copies": extra, "test_images_in_train": leaks,
        "classes": {split: class_sizes(images) for split, images in data.splits.items()},
        "warnings": list(data.warnings),
        "smaller_than_largest_view": small, "modes": dict(modes),
        "short_side": [min(sides), statistics.median(sides), max(sides)] if sides else None,
    }  # fmt: skip
    return Findings(tuple(lines), numbers, bad, copies)


def _groups(seen: Sequence[Seen]) -> list[tuple[Seen, ...]]:
    found: dict[str, list[Seen]] = {}
    for image in seen:
        found.setdefault(image.digest, []).append(image)
    return [tuple(group) for group in found.values()]


def _both(group: Sequence[Seen]) -> bool:
    return len({image.split for image in group}) > 1


def write(found: Findings, folder: Path) -> None:
    """Write ``check.json``, ``bad_images.csv`` and ``copies.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "check.json", found.numbers)
    _write_rows(
        folder / "bad_images.csv", ("split", "name", "reason"), [(i.split, i.name, i.reason) for i in found.bad]
    )
    rows = [(number, i.split, i.name) for number, group in enumerate(found.copies, 1) for i in group]
    _write_rows(folder / "copies.csv", ("group", "split", "name"), rows)


def draw(recipe: Recipe, data: Listed, file: Path) -> None:
    """Draw the recipe's views of the first training images."""
    channels = recipe.preprocess.channels
    draw_views(file, AugmentedImages(data.splits["train"], _augmenter(recipe), channels, recipe.seed))


def _write_rows(file: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([head, *rows])


def largest_view(recipe: Recipe) -> int:
    """Side of the largest view of the recipe's augmenter."""
    return max(view.size for view in _augmenter(recipe).views)


def _augmenter(recipe: Recipe) -> Augmenter:
    return cast(Augmenter, construct(recipe.augment, {"channels": recipe.preprocess.channels}))
