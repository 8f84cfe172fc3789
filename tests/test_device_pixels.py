"""Multi-crop's views made of whole batches: the same draws, and nearly the same pixels as Pillow's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sslkit
from crop_pictures import OFF, photo, sources
from sslkit.data.whole import stack_sources
from sslkit.errors import UserError
from sslkit.parts.device_views import WholeImages
from sslkit.testing import check_augmenter
from sslkit_vision.device_pixels import resize_weights
from sslkit_vision.multicrop import MultiCrop
from tiny_run import TINY, final_weights, tiny


def distance(images: list[Image.Image], **options: Any) -> float:
    """The mean absolute difference to Pillow's views with equal draws, of 255."""
    channels = 1 if images[0].mode == "L" else 3
    exact, ours = MultiCrop(channels, **options), MultiCrop(channels, **options, pixels="device")
    assert ours.on_device is not None
    given = sources(ours, images)
    found = ours.on_device.render(stack_sources(given))
    apart = []
    for image, source, column in zip(images, given, range(len(images)), strict=True):
        rows = dict.fromkeys(found, 0)
        for view, draws in zip(exact.views, source.draws, strict=True):
            mine = found[view.size][rows[view.size], column]
            rows[view.size] += 1
            wanted = exact.render(image, view, draws)
            assert (mine.shape, mine.dtype) == (wanted.shape, torch.uint8)
            apart.append((mine.float() - wanted.float()).abs().mean().item())
    return float(np.mean(apart))


def photos(mode: str = "RGB", count: int = 10) -> list[Image.Image]:
    """Several, of two shapes."""
    wide = photo(mode)
    return [wide if number % 2 else wide.transpose(Image.Transpose.ROTATE_90) for number in range(count)]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 0.1),
        ({"brightness": 0.4}, 0.6),
        ({"contrast": 0.4}, 0.6),
        ({"saturation": 0.4}, 0.6),
        ({"hue": 0.1}, 1.2),
        ({"grayscale": 1.0}, 0.6),
        ({"blur": (1.0, 1.0, 1.0)}, 0.6),
        ({"solarize": (1.0, 1.0, 1.0)}, 0.3),
        ({"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1, "grayscale": 0.2}, 1.8),
        ({"global_size": 640, "interpolation": "bilinear"}, 0.1),
    ],
)
def test_pixels_are_close_to_pillow_s(options: dict[str, Any], most: float) -> None:
    assert distance(photos(), **OFF | options) < most


def test_the_whole_augmentation_is_close_to_pillow_s() -> None:
    assert distance(photos(count=4)) < 2
    assert distance(photos("L", 4)) < 1


def test_large_images_travel_shrunk_and_look_the_same() -> None:
    large = photo().resize((2000, 1500), Image.Resampling.BICUBIC)
    part = MultiCrop(3, pixels="device")
    assert part.on_device is not None
    assert part.on_device.prepare(large).shape == (515, 687, 3)
    assert distance([large] * 3, **OFF) < 1
    strip = Image.new("RGB", (9000, 10))
    assert part.on_device.prepare(strip).shape == (1, 1030, 3)
    assert part.on_device.prepare(photo()).shape == (375, 500, 3)


def test_the_filter_is_pillow_s() -> None:
    row = np.random.default_rng(0).integers(0, 256, 90, dtype=np.uint8)
    for start, length, size in ((0, 90, 40), (10, 70, 16), (33, 20, 64), (5, 1, 8)):
        cut = Image.fromarray(row[None, start : start + length])
        wanted = np.asarray(cut.resize((size, 1), Image.Resampling.BICUBIC))[0].astype(float)
        weights = resize_weights(torch.tensor(float(start)), torch.tensor(float(length)), 90, size, "bicubic")
        found = (weights.double() @ torch.tensor(row, dtype=torch.float64)).round().clamp(0, 255)
        assert np.abs(found.numpy() - wanted).max() <= 1


def test_it_keeps_the_contract() -> None:
    check_augmenter(MultiCrop, {"global_size": 32, "local_size": 16, "pixels": "device"})


def test_batches_split_into_micro_batches() -> None:
    part = MultiCrop(3, global_size=32, local_size=16, pixels="device")
    whole = stack_sources(sources(part, photos(count=6)))
    parts = whole.split(2)
    assert [len(piece.pixels) for piece in parts] == [2, 2, 2]
    assert torch.equal(torch.cat([piece.numbers for piece in parts], dim=1), whole.numbers)
    assert isinstance(pickle.loads(pickle.dumps(whole)), WholeImages)
    assert whole.draw("box").shape == (10, 6, 4)
    assert whole.draw("flip").shape == (10, 6)


@pytest.mark.parametrize("options", [{"rotation": 10.0}, {"noise": 0.1}])
def test_what_it_cannot_do_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="pixels is 'device', which has no rotation and noise: set both to 0"):
        MultiCrop(3, pixels="device", **options)


def test_bands_are_refused() -> None:
    with pytest.raises(UserError, match="pixels is 'device', and preprocess.channels is 4: RGB or grey images go"):
        MultiCrop(4, saturation=0, hue=0, grayscale=0, pixels="device")


def test_a_run_trains_on_them_the_same_whatever_the_workers(tmp_path: Path) -> None:
    crops = {"name": "multicrop", "global_size": 16, "local_size": 8, "local_crops": 2, "pixels": "device"}
    for workers in (0, 2):
        train = {**TINY["train"], "workers": workers, "epochs": 1, "micro_batches": 2}  # type: ignore[dict-item]
        sslkit.fit(tiny(augment=crops, train=train), out=tmp_path / str(workers))
    one, other = (final_weights(tmp_path / str(workers)) for workers in (0, 2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "0/pictures/views.png").is_file()
