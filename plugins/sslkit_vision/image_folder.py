"""A folder of image files as a data set."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Axis, Dataset, Effect, Images, Split, file_stamp, open_image
from sslkit_vision.file_listing import Listing
from sslkit_vision.image_files import read_array, readable_extensions

log = logging.getLogger("sslkit")

#: The extension of NumPy arrays.
_ARRAY = ".npy"


class FolderImages(Images):
    """Image files below a folder, in sorted order.

    Args:
        root: the folder.
        names: paths relative to it, sorted.
        classes: the first-level folders that are labels; None without labels.
        axis: where the channels of arrays lie; None: the shorter of first and last axis.
    """

    def __init__(
        self, root: Path, names: Sequence[str], classes: tuple[str, ...] | None, axis: Axis | None = None
    ) -> None:
        self.root, self.classes, self._axis = root, classes, axis
        # one buffer instead of a million strings: worker processes then share its memory
        self._bytes = os.fsencode("".join(f"{name}\0" for name in names))
        self._starts = np.append(0, np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == 0) + 1)
        self._labels = None
        if classes is not None:
            number = {name: label for label, name in enumerate(classes)}
            stretches = list(_stretches(names))
            labels = np.array([number[name] for name, _ in stretches], dtype=np.int32)
            self._labels = labels.repeat([count for _, count in stretches])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, index: int) -> Image.Image | Tensor:
        """Image ``index``; of a ``.npy`` file a tensor.

        Raises:
            OSError: if the file cannot be opened as an image.
            ValueError: if its array is no image.
        """
        name = self._relative(index)
        if name[-4:].lower() == _ARRAY:
            return read_array(self.root / name, self._axis)
        return open_image(self.root / name)

    def label(self, index: int) -> int | None:
        """The number of the image's first-level folder; None without labels."""
        return None if self._labels is None else int(self._labels[index])

    def name(self, index: int) -> str:
        """The path below the folder."""
        return self._relative(index).encode(errors="replace").decode()

    def location(self, index: int) -> str:
        """The path of the file."""
        return str(self.root / self.name(index))

    def stamp(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return file_stamp(self.root / self._relative(index))

    def _relative(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return os.fsdecode(self._bytes[self._starts[index] : self._starts[index + 1] - 1])


class ImageFolder(Dataset):
    """Any folder of images, flat or nested, labelled or not, of any type that Pillow reads, or NumPy arrays (``.npy``).

    A folder with ``train/`` and ``val/`` (or ``test/``) has both splits; any other folder is all training images.
    The first-level folders of a split are its labels if every image lies in one and there are two or more. Hidden
    files are left out; links are followed.

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
    """

    def __init__(
        self,
        root: str,
        test_fraction: float = 0.0,
        extensions: list[str] | None = None,
        channel_axis: Axis | None = None,
        listing: Annotated[str | None, Effect.NONE] = None,
    ) -> None:
        if not (math.isfinite(test_fraction) and 0 <= test_fraction < 1):
            raise UserError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
        kinds = _all_extensions() if extensions is None else _extensions(extensions)
        folder, files = existing_folder(root), open_listing(listing)
        held_out = next((which for which in ("val", "test") if (folder / which).is_dir()), None)
        if held_out and (folder / "train").is_dir():
            if test_fraction:
                raise UserError(
                    f"test_fraction is {test_fraction}, but {folder} has a test split of its own, {held_out}/"
                )
            self._splits = train_and_test(folder / "train", folder / held_out, kinds, files, channel_axis)
        else:
            self._splits = _one_folder(folder, kinds, test_fraction, files, channel_axis)

    def split(self, which: Split) -> Images | None:
        """The images of a split; None for ``test`` if there is none."""
        return self._splits.get(which)


def existing_folder(root: str) -> Path:
    """``root`` as an absolute path.

    Raises:
        UserError: if it is no folder, or may not be read.
    """
    folder = _absolute("root", root)
    try:
        if not root or not folder.exists():
            raise UserError(f"root is {root!r}: there is no such folder")
        if not folder.is_dir():
            raise UserError(f"root is {root!r}: that is a file, and a folder of images is expected")
    except PermissionError as error:
        raise UserError(f"root is {root!r}: no permission to read it") from error
    return folder


def _absolute(key: str, path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"{key} is {path!r}: there is no user of that name") from error


def open_listing(file: str | None) -> Listing:
    """What a data set's ``listing`` names.

    Raises:
        UserError: if that is no file's name, or a file of something else.
    """
    if file == "":
        raise UserError("listing is '': name a file, or null")
    return Listing(None if file is None else _absolute("listing", file))


def train_and_test(
    train: Path, test: Path, kinds: frozenset[str], files: Listing, axis: Axis | None = None
) -> dict[str, FolderImages]:
    """Both splits from folders of their own; the classes are those of ``train``.

    Raises:
        UserError: if one has no images, a class of ``train`` has none, or the test folder has a class of its own.
    """
    names, test_names = _images(train, kinds, files), _images(test, kinds, files)
    classes = _classes(names)
    for empty in _empty_folders(train, classes):
        raise UserError(
            f"{train / empty} holds no images, and the folders beside it are classes: "
            "put its images there, or delete it"
        )
    test_folders = {name for name, _ in _stretches(test_names)}
    test_classes = None if classes is None or "" in test_folders else classes
    unknown = sorted(test_folders - set(test_classes or test_folders))
    if unknown:
        raise UserError(f"{test} has class folders that {train} lacks: {', '.join(unknown[:5])}")
    return {
        "train": FolderImages(train, names, classes, axis),
        "test": FolderImages(test, test_names, test_classes, axis),
    }


def _one_folder(
    folder: Path, kinds: frozenset[str], test_fraction: float, files: Listing, axis: Axis | None
) -> dict[str, FolderImages]:
    names = _images(folder, kinds, files)
    classes = _classes(names)
    for empty in _empty_folders(folder, classes):
        log.warning("%s holds no images and is no class, although the folders beside it are", folder / empty)
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


def _empty_folders(folder: Path, classes: tuple[str, ...] | None) -> list[str]:
    """Folders beside those of the classes, in which no image lies."""
    if classes is None:
        return []
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(set(found) - set(classes))


def _images(folder: Path, kinds: frozenset[str], listing: Listing) -> list[str]:
    files = listing.find(folder)
    # from the last dot on: splitext takes as long as listing the files does
    there = Counter(name[name.rfind(".") :] for name in files)
    wanted = {kind for kind in there if kind.lower() in kinds}
    names = files if len(wanted) == len(there) else [name for name in files if name[name.rfind(".") :] in wanted]
    if not names:
        types = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
        found = ", ".join(f"{count} x {kind}" for kind, count in types.most_common(5)) or "no files at all"
        raise UserError(f"{folder} holds no images: found {found}; expected files such as {_examples(kinds)}")
    arrays = sum(there[kind] for kind in wanted if kind.lower() == _ARRAY) if kinds == _all_extensions() else 0
    if 0 < arrays < len(names):
        # nobody chose, and the arrays may be other things than images
        raise UserError(
            f"extensions is null, and {folder} holds {arrays} {_ARRAY} files beside {len(names) - arrays} images of "
            f"other types: name the types to take, as in [{_ARRAY}]"
        )
    return names


def _examples(kinds: frozenset[str]) -> str:
    usual = [kind for kind in (".jpg", ".jpeg", ".png", ".webp", ".tif", _ARRAY) if kind in kinds]
    return ", ".join(usual or sorted(kinds)[:5])


def _all_extensions() -> frozenset[str]:
    return readable_extensions() | {_ARRAY}


def _extensions(given: list[str]) -> frozenset[str]:
    kinds = frozenset("." + kind.lower().lstrip(".") for kind in given)
    unknown = sorted(kinds - _all_extensions())
    if unknown or not kinds:
        raise UserError(f"extensions is {given}: Pillow reads no {', '.join(unknown) or 'such list'}; try [.jpg, .png]")
    return kinds


def _stretches(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The first-level folders of sorted paths and how many lie in each; "" for a file in none."""
    first = 0
    while first < len(names):
        folder, slash, _ = names[first].rpartition("/")
        folder = folder.partition("/")[0]
        # "0" follows "/": all paths below the folder, and no other, come before it
        after = bisect_left(names, f"{folder}0", first) if slash else first + 1
        yield folder, after - first
        first = after


def _classes(names: Sequence[str]) -> tuple[str, ...] | None:
    folders: list[str] = []
    for folder, _ in _stretches(names):
        if not folder:
            return None
        folders.append(folder)
    # by their names: paths are sorted otherwise, as "a-b/" comes before "a/"
    return tuple(sorted(folders)) if len(folders) > 1 else None


def _share(name: str) -> float:
    """A number in 0..1 that depends on the path alone, so that added files move no other between the splits."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest()) / 2**64
