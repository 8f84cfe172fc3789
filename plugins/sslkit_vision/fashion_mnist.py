"""Fashion-MNIST from its four IDX files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from sslkit.errors import UserError
from sslkit.parts import Dataset, Images, Split, home_path
from sslkit_vision.array_images import ArrayImages

#: Where Debian's package dataset-fashion-mnist puts them.
_DEBIAN = "/usr/share/datasets/fashion-mnist"
_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_PREFIXES: dict[Split, str] = {"train": "train", "test": "t10k"}


class FashionMNIST(Dataset):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 gray images of clothes, 28 x 28 pixels, 10 classes.

    Reads the IDX files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
    ``t10k-labels-idx1-ubyte``, plain or ``.gz``. Nothing is downloaded.

    Args:
        root: the folder that holds them (or torchvision's ``FashionMNIST/raw`` in it); null: where Debian's package
            ``dataset-fashion-mnist`` puts them.
        train_images: take only so many of the training images, the first ones; null: all.
    """

    def __init__(self, root: str | None = None, train_images: int | None = None) -> None:
        if train_images is not None and train_images < 1:
            raise UserError(f"train_images is {train_images}: it must be 1 or more (null: all)")
        folder = home_path(_DEBIAN if root is None else root)
        self._splits = {which: _read_split(folder, prefix) for which, prefix in _PREFIXES.items()}
        if train_images is not None:
            pixels, labels = self._splits["train"]
            self._splits["train"] = (pixels[:train_images], labels[:train_images])

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        pixels, labels = self._splits[which]
        return ArrayImages(pixels, labels, _CLASSES)


def _read_split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    pixels = _read_idx(_find(folder, f"{prefix}-images", 3), dimensions=3)
    labels = _read_idx(_find(folder, f"{prefix}-labels", 1), dimensions=1)
    if len(pixels) != len(labels) or not len(pixels):
        raise UserError(f"{folder}: {prefix} has {len(pixels)} images, but {len(labels)} labels")
    if labels.max() >= len(_CLASSES):
        raise UserError(
            f"{folder}: {prefix} has the label {labels.max()}, but Fashion-MNIST has {len(_CLASSES)} classes"
        )
    return pixels, labels


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{mark}idx{dimensions}-ubyte{packed}" for mark in "-." for packed in ("", ".gz")]
    for home in (folder, folder / "raw", folder / "FashionMNIST" / "raw"):
        for name in names:
            if (home / name).is_file():
                return home / name
    raise UserError(
        f"there is no {names[0]} or {names[1]} in {folder}: set root to the folder of Fashion-MNIST's four IDX files "
        "(on Debian and Ubuntu: apt install dataset-fashion-mnist, then no root is needed)"
    )


def _read_idx(file: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an IDX file: 0, 0, type 8, number of dimensions, big-endian sizes, data."""
    try:
        raw = file.read_bytes()
        data = gzip.decompress(raw) if file.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    start = 4 + 4 * dimensions
    sizes = np.frombuffer(data[4:start], dtype=">u4") if len(data) >= start else np.array([0])
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) != start + int(sizes.prod(dtype=np.int64)):
        raise UserError(f"{file} is not a complete IDX file of {dimensions}-dimensional bytes")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(sizes.astype(int))
