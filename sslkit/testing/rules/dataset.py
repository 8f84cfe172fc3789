"""Rules for data sets."""

from __future__ import annotations

import pickle

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from sslkit.parts.bands import Numbers
from sslkit.parts.dataset import Images
from sslkit.testing.case import Case, require, untouched_generators


def _splits(case: Case) -> dict[str, Images]:
    data = case.build()
    found = {which: data.split(which) for which in ("train", "test")}
    return {which: images for which, images in found.items() if images is not None}


def _some(images: Images) -> list[int]:
    return sorted({0, len(images) // 2, len(images) - 1})


def _array(image: PIL.Image.Image | Tensor | Numbers) -> np.ndarray:
    return image.values if isinstance(image, Numbers) else np.asarray(image)


def splits(case: Case) -> None:
    """There is a split ``train`` with images, and every split is a collection of images."""
    found = _splits(case)
    require("train" in found, "it has no split 'train'")
    for which, images in found.items():
        require(
            isinstance(images, Images), f"the split {which!r} is a {type(images).__name__} and no sslkit.parts.Images"
        )
        require(len(images) > 0, f"the split {which!r} is empty")


def images(case: Case) -> None:
    """Images are PIL images, uint8 ``[C, H, W]`` or ``Numbers``, the same each time, without a global generator."""
    for which, split in _splits(case).items():
        for index in _some(split):
            with untouched_generators():
                one, again = split.read(index), split.read(index)
            if isinstance(one, Tensor):
                good = one.dtype == torch.uint8 and one.ndim == 3
                require(
                    good, f"image {index} of {which} is a tensor {one.dtype} {tuple(one.shape)}, not uint8 [C, H, W]"
                )
            else:
                require(
                    isinstance(one, PIL.Image.Image | Numbers), f"image {index} of {which} is a {type(one).__name__}"
                )
            require(np.array_equal(_array(one), _array(again)), f"image {index} of {which} is another the second time")


def labels(case: Case) -> None:
    """Labels are whole numbers below the number of classes; without classes there are none."""
    for which, split in _splits(case).items():
        for index in _some(split):
            label = split.label(index)
            if split.classes is None:
                require(label is None, f"image {index} of {which} has the label {label}, and classes is None")
            else:
                good = isinstance(label, int) and 0 <= label < len(split.classes)
                require(
                    good,
                    f"image {index} of {which} has the label {label!r}, and there are {len(split.classes)} classes",
                )
            require(isinstance(split.name(index), str), f"the name of image {index} of {which} is no text")


def one_set_of_classes(case: Case) -> None:
    """Labelled splits have the same classes in the same order."""
    known = {which: split.classes for which, split in _splits(case).items() if split.classes is not None}
    require(len(set(known.values())) <= 1, "the splits 'train' and 'test' have other classes, or in another order")


def pickles(case: Case) -> None:
    """Splits go to worker processes: pickled and unpickled they read the same."""
    for which, split in _splits(case).items():
        twin = pickle.loads(pickle.dumps(split))
        for index in _some(split):
            same = np.array_equal(_array(split.read(index)), _array(twin.read(index)))
            require(same and len(twin) == len(split), f"unpickled, the split {which!r} reads image {index} otherwise")


RULES = (splits, images, labels, one_set_of_classes, pickles)
