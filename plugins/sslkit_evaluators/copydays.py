"""The Copydays data set on disk (Douze et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError

ORIGINALS, STRONG = "original", "strong"
_QUALITIES = (3, 5, 8, 10, 15, 20, 30, 50, 75)
_CROPS = (10, 15, 20, 30, 40, 50, 60, 70, 80)

#: The folders of copies that are searched for: those of the reference DINO's eval_copy_detection.py.
BLOCKS = (ORIGINALS, STRONG, *(f"jpegqual/{q}" for q in _QUALITIES), *(f"crops/{c}" for c in _CROPS))

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Copydays:
    """The images of a folder, and what is a copy of what.

    Attributes:
        originals: the images that are searched.
        blocks: the images of each folder that is searched for, by its name.
        right: for each image of each folder the indices of its originals.
    """

    originals: tuple[Path, ...]
    blocks: dict[str, tuple[Path, ...]]
    right: dict[str, tuple[tuple[int, ...], ...]]


def read_copydays(root: Path) -> Copydays:
    """List ``root/original``, ``root/strong``, ``root/jpegqual/Q`` and ``root/crops/C``, as far as they are there.

    Copies in ``strong`` are of the originals whose names share their first four letters (an image family); those of
    the other folders are the originals in the same order.

    Raises:
        UserError: if originals or all copies lack, or a folder has another number of images than there are originals.
    """
    originals = images_in(root / ORIGINALS)
    if not originals:
        raise UserError(
            f"root: {root / ORIGINALS} holds no images; expected are {ORIGINALS}/, {STRONG}/, jpegqual/, crops/"
        )
    blocks, right = {}, {}
    for name in BLOCKS:
        paths = images_in(root / name)
        if not paths:
            continue
        blocks[name] = paths
        right[name] = _families(paths, originals) if name == STRONG else tuple((i,) for i in range(len(paths)))
        if name != STRONG and len(paths) != len(originals):
            raise UserError(
                f"root: {root / name} holds {len(paths)} images and {root / ORIGINALS} {len(originals)}: "
                "it must hold a copy of each, in the same order"
            )
    if set(blocks) == {ORIGINALS}:
        raise UserError(f"root: {root} holds originals but no copies: expected are {STRONG}/, jpegqual/ or crops/")
    return Copydays(originals, blocks, right)


def _families(copies: tuple[Path, ...], originals: tuple[Path, ...]) -> tuple[tuple[int, ...], ...]:
    families = tuple(
        tuple(i for i, original in enumerate(originals) if original.name[:4] == copy.name[:4]) for copy in copies
    )
    for copy, family in zip(copies, families, strict=True):
        if not family:
            raise UserError(f"root: {copy} has no original: no name in {ORIGINALS}/ begins with {copy.name[:4]}")
    return families


def images_in(folder: Path) -> tuple[Path, ...]:
    """The images of a folder in the order of their names, of the types that the reference takes."""
    return tuple(sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES))
