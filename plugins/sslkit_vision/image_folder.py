"""A folder of image files as a data set."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Annotated

from sslkit.errors import UserError
from sslkit.parts import Axis, Dataset, Effect, Images, PathOption, Split, user_path
from sslkit_vision.file_listing import Listing
from sslkit_vision.first_rank_log import warn
from sslkit_vision.folder_images import FolderImages, classes_of, only_folder, stretches
from sslkit_vision.image_finder import ImageFinder
from sslkit_vision.split_folders import splits_below


class ImageFolder(Dataset):
    """Any folder of images, flat or nested, labelled or not, of any type that Pillow reads, or NumPy arrays (``.npy``).

    A folder with ``train/`` and ``val/`` (or ``test/``) has both splits, also in their other usual spellings in any
    case (``Training``, ``valid``, ``test_set``, ``val2017``); with several test splits a validation split comes first.
    With ``train/`` alone its images are all there are, and any other folder is all training images. Names that may
    mean splits and cannot be understood are refused or warned about. The first-level folders of a split are its labels
    if every image lies in one and there are two or more. Hidden files are left out; links are followed.

    Files of other types are left out, and those that may be meant as images (HEIC, a camera's raw files) warned about.

    Arrays are ``[H, W]``, ``[C, H, W]`` or ``[H, W, C]`` of uint8, uint16 (65535 is white) or floats (from 0 to 1 if no
    value of the image is larger, else from 0 to 255).

    Args:
        root: the folder.
        test_fraction: share of the images to keep out of training as test images, chosen by a hash of their paths;
            only for a folder without a test split of its own.
        extensions: the types to take, such as ``[.jpg, .png]``, in any case; null: all that Pillow reads, or
            ``.npy``, but not both.
        channel_axis: where an array of three axes has its channels: ``first`` or ``last``; null: whichever of the two
            is shorter.
        listing: a file that remembers the names found, made where it is not there: a later run asks the disk only
            about folders that changed since, or less than a minute before, which matters for a million files on a
            network disk; null: every run lists them all.
        split_folders: false: folders that are called ``train``, ``val`` and so on are classes like any others.
    """

    def __init__(
        self,
        root: PathOption,
        test_fraction: float = 0.0,
        extensions: list[str] | None = None,
        channel_axis: Axis | None = None,
        listing: Annotated[PathOption | None, Effect.NONE] = None,
        split_folders: bool = True,
    ) -> None:
        if not (math.isfinite(test_fraction) and 0 <= test_fraction < 1):
            raise UserError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
        folder, finder = existing_folder(root), ImageFinder(open_listing(listing), extensions)
        splits = splits_below(folder, finder) if split_folders else None
        if splits is not None and splits.test is not None:
            if test_fraction:
                raise UserError(
                    f"test_fraction is {test_fraction}, but {folder} has a test split of its own, {splits.test.name}/"
                )
            self._splits = train_and_test(splits.train, splits.test, finder, channel_axis)
        else:
            whole = folder if splits is None else splits.train
            self._splits = _one_folder(whole, finder, test_fraction, channel_axis)

    def split(self, which: Split) -> Images | None:
        """The images of a split; None for ``test`` if there is none."""
        return self._splits.get(which)


def existing_folder(root: str) -> Path:
    """``root`` as an absolute path.

    Raises:
        UserError: if it is no folder, or may not be read.
    """
    folder = _path("root", root or ".")
    try:
        if not root or not folder.exists():
            raise UserError(f"root is {root!r}: there is no such folder")
        if not folder.is_dir():
            raise UserError(f"root is {root!r}: that is a file, and a folder of images is expected")
        os.scandir(folder).close()
    except PermissionError as error:
        raise UserError(f"root is {root!r}: no permission to read it") from error
    return folder


def open_listing(file: str | None) -> Listing:
    """What a data set's ``listing`` names.

    Raises:
        UserError: if that is no file's name, or a file of something else.
    """
    if file == "":
        raise UserError("listing is '': name a file, or null")
    return Listing(None if file is None else _path("listing", file))


def _path(key: str, text: str) -> Path:
    try:
        return user_path(text)
    except UserError as error:
        raise UserError(f"{key} is {error}") from error


def train_and_test(train: Path, test: Path, finder: ImageFinder, axis: Axis | None = None) -> dict[str, FolderImages]:
    """Both splits from folders of their own; the classes are those of ``train``.

    Raises:
        UserError: if one has no images, a class of ``train`` has none, or the test folder has a class of its own.
    """
    names, test_names = finder.names(train), finder.names(test)
    for folder in (train, test):
        finder.warn_left_out(folder)
    classes = classes_of(names)
    _warn_of_wrapped_classes(train, names)
    for empty in _empty_folders(train, classes):
        raise UserError(
            f"{train / empty} holds no images, and the folders beside it are classes: "
            "put its images there, or delete it"
        )
    test_folders = {name for name, _ in stretches(test_names)}
    test_classes = None if classes is None or "" in test_folders else classes
    unknown = sorted(test_folders - set(test_classes or test_folders))
    if unknown:
        raise UserError(f"{test} has class folders that are missing in {train}: {', '.join(unknown[:5])}")
    return {
        "train": FolderImages(train, names, classes, axis),
        "test": FolderImages(test, test_names, test_classes, axis),
    }


def _one_folder(folder: Path, finder: ImageFinder, test_fraction: float, axis: Axis | None) -> dict[str, FolderImages]:
    names = finder.names(folder)
    finder.warn_left_out(folder)
    classes = classes_of(names)
    _warn_of_wrapped_classes(folder, names)
    for empty in _empty_folders(folder, classes):
        warn("%s holds no images and is no class, although the folders beside it are", folder / empty)
    if not test_fraction:
        return {"train": FolderImages(folder, names, classes, axis)}
    kept_out = [_share(name) < test_fraction for name in names]
    if all(kept_out) or not any(kept_out):
        raise UserError(
            f"test_fraction is {test_fraction}: of the {len(names)} images in {folder} that leaves "
            f"{sum(kept_out)} to test and {len(names) - sum(kept_out)} to train on"
        )
    return {
        which: FolderImages(folder, [n for n, out in zip(names, kept_out, strict=True) if out is test], classes, axis)
        for which, test in (("train", False), ("test", True))
    }


def _warn_of_wrapped_classes(folder: Path, names: list[str]) -> None:
    """All images in one folder, and there in folders again: those are more likely the classes."""
    here = folder
    while (first := only_folder(names)) is not None:
        here, names = here / first, [name[len(first) + 1 :] for name in names]
    inner = classes_of(names) if here != folder else None
    if inner is not None:
        warn(
            "%s: no labels, since all images lie in %s/; set root to %s to take its %d folders for classes",
            folder, here.relative_to(folder), here, len(inner),
        )  # fmt: skip


def _empty_folders(folder: Path, classes: tuple[str, ...] | None) -> list[str]:
    """Folders beside those of the classes, in which no image lies."""
    if classes is None:
        return []
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(set(found) - set(classes))


def _share(name: str) -> float:
    """A number in 0..1 that depends on the path alone, so that added files move no other between the splits."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest()) / 2**64
