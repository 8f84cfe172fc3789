"""Nearest neighbours by instance: places against float64, what a view is, and what cannot be cheated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from evaluation_parts import Patterns, Splits, freeze, tiny_conv
from sslkit.errors import RunError, UserError
from sslkit.parts import Bands, Features
from sslkit_evaluators.instance_view import InstanceView
from sslkit_evaluators.knn_instance import KNNInstance, instance_places


def features(x: Tensor, indices: list[int]) -> Features:
    return Features(x, None, torch.tensor(indices))


def reference(known: np.ndarray, of: list[int], asked: np.ndarray, wanted: list[int]) -> list[int]:
    """How many others are at least as near by cosine, one query at a time in float64."""
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    places = []
    for row, index in zip(asked, wanted, strict=True):
        if index in of:
            cosines = unit @ (row / np.linalg.norm(row))
            others = np.delete(cosines, of.index(index))
            places.append(int((others >= cosines[of.index(index)]).sum()))
    return places


@pytest.mark.parametrize("rows", [5, 1100])
def test_places_by_their_definition(rows: int) -> None:
    draw = np.random.default_rng(rows)
    known = draw.normal(size=(rows, 6))
    asked = known + draw.normal(0, 0.5, size=known.shape)
    # an image whose whole was unreadable, another whose view was
    of, wanted = list(range(rows)), list(range(rows))
    known, of = np.delete(known, 1, 0), of[:1] + of[2:]
    asked, wanted = np.delete(asked, 3, 0), wanted[:3] + wanted[4:]
    found = instance_places(features(torch.from_numpy(known), of), features(torch.from_numpy(asked), wanted))
    assert found.tolist() == reference(known, of, asked, wanted)


def test_features_that_are_all_alike_find_nothing() -> None:
    same = features(torch.ones(7, 3), list(range(7)))
    assert instance_places(same, same).tolist() == [6] * 7


def test_a_view_depends_on_seed_and_index_and_keeps_the_short_side() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    view = InstanceView((0.3, 1.0), 0.5, 0.4, 20, seed=1)
    assert view(image, 3).size == (30, 20)
    assert view(image, 3).tobytes() == view(image, 3).tobytes()
    assert len({view(image, index).tobytes() for index in range(4)}) == 4
    assert view(image, 3).tobytes() != InstanceView((0.3, 1.0), 0.5, 0.4, 20, seed=2)(image, 3).tobytes()
    plain = InstanceView((1.0, 1.0), 0.0, 0.0, 40, seed=1)(image.crop((0, 0, 40, 40)), 0)
    assert plain.tobytes() == image.crop((0, 0, 40, 40)).tobytes()
    mirrored = InstanceView((1.0, 1.0), 1.0, 0.0, 40, seed=1)(image.crop((0, 0, 40, 40)), 0)
    assert np.array_equal(np.asarray(mirrored), np.asarray(image.crop((0, 0, 40, 40)))[:, ::-1])
    five = Bands.from_array(np.random.default_rng(0).integers(0, 255, (5, 30, 40), dtype=np.uint8), "first")
    assert view(five, 0).size == (26, 20)


def test_pixels_find_views_that_change_nothing_and_features_lose_strong_ones(tmp_path: Path) -> None:
    data = Splits(Patterns(40, labelled=False, unreadable=(4,)), None)
    with freeze(tiny_conv()) as frozen:
        whole = KNNInstance(scale=(1.0, 1.0), flip=0.0, colour=0.0, raw_pixels=True).evaluate(frozen, data, tmp_path)
        strong = KNNInstance(scale=(0.1, 0.3), max_images=20).evaluate(frozen, data, tmp_path)
    assert list(whole.values) == ["top1", "top5", "raw_pixels_top1", "raw_pixels_top5"]
    assert strong.values["top1"] <= strong.values["top5"] < 100
    assert whole.values["raw_pixels_top1"] == 100
    # of 19 or 20 images, as one of all cannot be read
    hits = [strong.values["top1"] * count / 100 for count in (19, 20)]
    assert min(abs(found - round(found)) for found in hits) < 1e-9


def test_wrong_options_and_too_few_images(tmp_path: Path) -> None:
    for options, said in (({"max_images": 1}, "max_images"), ({"scale": (0.5, 0.2)}, "scale"), ({"flip": 2.0}, "flip")):
        with pytest.raises(UserError, match=said):
            KNNInstance(**options)
    with freeze(tiny_conv()) as frozen, pytest.raises(RunError, match="needs two"):
        KNNInstance().evaluate(frozen, Splits(Patterns(1, labelled=False), None), tmp_path)
