"""A folder of image files as a data set."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sslkit.errors import UserError
from sslkit.parts import Dataset, Images, Split
from sslkit_vision.image_files import find_files, open_image, readable_extensions


class FolderImages(Images):
    """Image files below a folder, in sorted order.

    Args:
        root: the folder.
        names: paths relative to it, in order.
        classes: the first-level folders that are labels; None without labels.
    """

    def __init__(self, root: Path, names: Sequence[str], classes: tuple[str, ...] | None) -> None:
        self.root, self.classes = root, classes
        # one buffer instead of a million strings: worker processes then share its memory
        encoded = [os.fsencode(name) for name in names]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)])
        self._labels = None
        if classes is not None:
            number = {name: label for label, name in enumerate(classes)}
            self._labels = np.array([number[_first_folder(name)] for name in names], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, index: int) -> Image.Image:
        """Image ``index``.

        Raises:
            OSError: if the file cannot be opened as an image.
        """
        return open_image(self.root / self._relative(index))

    def label(self, index: int) -> int | None:
        """The number of the image's first-level folder; None without labels."""
        return None if self._labels is None else int(self._labels[index])

    def name(self, index: int) -> str:
        """The path below the folder."""
        return self._relative(index).encode(errors="replace").decode()

    def _relative(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return os.fsdecode(self._bytes[self._ends[index] : self._ends[index + 1]])


class ImageFolder(Dataset):
    """Any folder of images, flat or nested, labelled or not, of any type that Pillow reads.

    A folder with ``train/`` and ``val/`` (or ``test/``) has both splits; any other folder is all training images.
    The first-level folders of a split are its labels if every image lies in one and there are two or more. Hidden
    files are left out; links are followed.

    Args:
        root: the folder.
        test_fraction: share of the images to keep out of training as test images, chosen by a hash of their paths;
            only for a folder without a test split of its own.
        extensions: the types to take, such as ``[.jpg, .png]``, in any case; null: all that Pillow reads.
    """

    def __init__(self, root: str, test_fraction: float = 0.0, extensions: list[str] | None = None) -> None:
        if not (math.isfinite(test_fraction) and 0 <= test_fraction < 1):
            raise UserError(f"test_fraction is {test_fraction}: it must be at least 0 and below 1")
        kinds = readable_extensions() if extensions is None else _extensions(extensions)
        folder = existing_folder(root)
        held_out = next((which for which in ("val", "test") if (folder / which).is_dir()), None)
        if held_out and (folder / "train").is_dir():
            if test_fraction:
                raise UserError(
                    f"test_fraction is {test_fraction}, but {folder} has a test split of its own, {held_out}/"
                )
            self._splits = train_and_test(folder / "train", folder / held_out, kinds)
        else:
            self._splits = _one_folder(folder, kinds, test_fraction)

    def split(self, which: Split) -> Images | None:
        """The images of a split; None for ``test`` if there is none."""
        return self._splits.get(which)


def existing_folder(root: str) -> Path:
    """``root`` as an absolute path.

    Raises:
        UserError: if it is no folder, or may not be read.
    """
    folder = Path(root).expanduser().absolute()
    try:
        if not root or not folder.exists():
            raise UserError(f"root is {root!r}: there is no such folder")
        if not folder.is_dir():
            raise UserError(f"root is {root!r}: that is a file, and a folder of images is expected")
    except PermissionError as error:
        raise UserError(f"root is {root!r}: no permission to read it") from error
    return folder


def train_and_test(train: Path, test: Path, kinds: frozenset[str]) -> dict[str, FolderImages]:
    """Both splits from folders of their own; the classes are those of ``train``.

    Raises:
        UserError: if one has no images, or the test folder has a class of its own.
    """
    names, test_names = _images(train, kinds), _images(test, kinds)
    classes = _classes(names)
    test_folders = {_first_folder(name) for name in test_names}
    test_classes = None if classes is None or "" in test_folders else classes
    unknown = sorted(test_folders - set(test_classes or test_folders))
    if unknown:
        raise UserError(f"{test} has class folders that {train} lacks: {', '.join(unknown[:5])}")
    return {"train": FolderImages(train, names, classes), "test": FolderImages(test, test_names, test_classes)}


def _one_folder(folder: Path, kinds: frozenset[str], test_fraction: float) -> dict[str, FolderImages]:
    names = _images(folder, kinds)
    classes = _classes(names)
    if not test_fraction:
        return {"train": FolderImages(folder, names, classes)}
    kept_out = [_share(name) < test_fraction for name in names]
    if all(kept_out) or not any(kept_out):
        raise UserError(
            f"test_fraction is {test_fraction}: of the {len(names)} images in {folder} that leaves "
            f"{sum(kept_out)} to test and {len(names) - sum(kept_out)} to train on"
        )
    return {
        "train": FolderImages(folder, [name for name, out in zip(names, kept_out, strict=True) if not out], classes),
        "test": FolderImages(folder, [name for name, out in zip(names, kept_out, strict=True) if out], classes),
    }


def _images(folder: Path, kinds: frozenset[str]) -> list[str]:
    files = find_files(folder)
    names = [name for name in files if os.path.splitext(name)[1].lower() in kinds]
    if not names:
        there = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
        found = ", ".join(f"{count} x {kind}" for kind, count in there.most_common(5)) or "no files at all"
        raise UserError(f"{folder} holds no images: found {found}; expected files such as {_examples(kinds)}")
    return names


def _examples(kinds: frozenset[str]) -> str:
    usual = [kind for kind in (".jpg", ".jpeg", ".png", ".webp", ".tif") if kind in kinds]
    return ", ".join(usual or sorted(kinds)[:5])


def _extensions(given: list[str]) -> frozenset[str]:
    kinds = frozenset("." + kind.lower().lstrip(".") for kind in given)
    unknown = sorted(kinds - readable_extensions())
    if unknown or not kinds:
        raise UserError(f"extensions is {given}: Pillow reads no {', '.join(unknown) or 'such list'}; try [.jpg, .png]")
    return kinds


def _first_folder(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _classes(names: Sequence[str]) -> tuple[str, ...] | None:
    folders = {_first_folder(name) for name in names}
    return tuple(sorted(folders)) if "" not in folders and len(folders) > 1 else None


def _share(name: str) -> float:
    """A number in 0..1 that depends on the path alone, so that added files move no other between the splits."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest()) / 2**64
