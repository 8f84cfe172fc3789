"""scikit-learn's digits: real scans that come with its installation."""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sslkit.parts import Dataset, Images, Split
from sslkit_vision.array_images import ArrayImages

#: Of 1,797 images, as a fifth (rounded up) is kept out of training.
_TEST_IMAGES = 360


class Digits(Dataset):
    """1,797 handwritten digits of 8 x 8 pixels, gray: 1,437 to train on and 360 to test with.

    The test part of the UCI set "Optical recognition of handwritten digits" (Alpaydin and Kaynak 1998), as
    scikit-learn installs it: nothing is downloaded. The split is fixed and stratified: of every class the images
    with the smallest hash of their number are the test images. Values 0..16 become 0..255.
    """

    def __init__(self) -> None:
        table = _table()
        values, labels = table[:, :-1], table[:, -1].astype(np.int64)
        pixels = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
        test = _test_mask(labels)
        classes = tuple(str(digit) for digit in range(10))
        self._splits = {
            "train": ArrayImages(pixels[~test], labels[~test], classes),
            "test": ArrayImages(pixels[test], labels[test], classes),
        }

    def split(self, which: Split) -> Images | None:
        """The images of a split."""
        return self._splits[which]


def _table() -> np.ndarray:
    """``[1797, 65]``: 64 values of 0..16 and the label."""
    # reading scikit-learn's file takes 0.01 s, importing scikit-learn 1.5 to 3 s
    found = find_spec("sklearn")
    for home in (found.submodule_search_locations or []) if found else []:
        file = Path(home) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                return np.loadtxt(lines, delimiter=",")
    from sklearn.datasets import load_digits

    images = load_digits()
    return np.column_stack([images.data, images.target])


def _test_mask(labels: np.ndarray) -> np.ndarray:
    """Which images are for testing: of each class its share of 360, by largest remainder."""
    counts = np.bincount(labels)
    shares = counts * _TEST_IMAGES / len(labels)
    take = shares.astype(int)
    take[np.argsort(take - shares, kind="stable")[: _TEST_IMAGES - take.sum()]] += 1
    order = sorted(range(len(labels)), key=lambda index: hashlib.blake2b(b"digits:%d" % index).digest())
    mask = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(take):
        mask[[index for index in order if labels[index] == label][:count]] = True
    return mask
