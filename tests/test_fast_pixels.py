"""The fast pixels of multi-crop: the same draws, and nearly the same pixels as Pillow's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from crop_pictures import OFF, photo
from sslkit.errors import UserError
from sslkit.parts.bands import Bands
from sslkit.parts.randomness import generator
from sslkit_vision.multicrop import MultiCrop

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'sslkit[opencv]'")


def both(mode: str = "RGB", count: int = 12, **options: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Views of one image, exact and fast, with equal draws."""
    channels = 1 if mode == "L" else 3
    exact, fast = MultiCrop(channels, **options), MultiCrop(channels, **options, pixels="fast")
    image, found = photo(mode), []
    for number in range(count):
        for row, view in enumerate(exact.views):
            draws = exact.draw(view, *image.size, generator("a view", number, row))
            assert json.dumps(draws) == json.dumps(fast.draw(view, *image.size, generator("a view", number, row)))
            found.append((exact.render(image, view, draws), fast.render(image, view, draws)))
    return found


def distance(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """The mean absolute difference, of 255."""
    for exact, fast in pairs:
        assert (fast.shape, fast.dtype) == (exact.shape, torch.uint8)
    return float(np.mean([(exact.float() - fast.float()).abs().mean() for exact, fast in pairs]))


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 1.2),
        ({"brightness": 0.4}, 1.2),
        ({"contrast": 0.4}, 1.2),
        ({"saturation": 0.4}, 1.2),
        ({"hue": 0.1}, 2.2),
        ({"grayscale": 1.0}, 1.0),
        ({"blur": (1.0, 1.0, 1.0)}, 1.0),
        ({"solarize": (1.0, 1.0, 1.0)}, 1.2),
        ({"rotation": 20.0}, 1.5),
        ({"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1, "grayscale": 0.2}, 2.5),
        ({"global_size": 640, "interpolation": "bilinear"}, 1.0),
    ],
)
def test_pixels_are_close_to_pillow_s(options: dict[str, Any], most: float) -> None:
    pairs = both(**OFF | options)
    assert distance(pairs) < most
    # a wrong operation would be further away than doing none
    if options.keys() - {"global_size", "interpolation"}:
        plain = [(exact, fast) for (exact, _), (_, fast) in zip(pairs, both(**OFF), strict=True)]
        assert distance(pairs) < 0.5 * distance(plain)


def test_the_whole_augmentation_is_close_to_pillow_s() -> None:
    assert distance(both(count=6)) < 3


def test_grey_images_and_noise() -> None:
    assert distance(both("L", local_crops=2)) < 3
    pairs = both(local_crops=0, noise=0.05)
    assert distance(pairs) < 3  # the same noise


def test_bands_stay_with_pillow() -> None:
    image = Bands.from_array(np.random.default_rng(0).integers(0, 256, (4, 60, 80), dtype=np.uint8), "first")
    options = OFF | {"brightness": 0.4}
    exact, fast = MultiCrop(4, **options), MultiCrop(4, **options, pixels="fast")
    for number, view in enumerate(exact.views):
        draws = exact.draw(view, 80, 60, generator("bands", number))
        assert torch.equal(exact.render(image, view, draws), fast.render(image, view, draws))


def test_without_opencv_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslkit_vision.multicrop.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"pixels is 'fast', and OpenCV is not installed: pip install 'sslkit\[opencv\]'"
    ):
        MultiCrop(3, pixels="fast")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("box", [[0, 0, 1, 1], [3, 5, 1, 20], [3, 5, 20, 1]])
def test_boxes_of_one_pixel(mode: str, box: list[int]) -> None:
    channels = 1 if mode == "L" else 3
    exact, fast = (MultiCrop(channels, **OFF, pixels=pixels) for pixels in ("exact", "fast"))  # type: ignore[arg-type]
    image, view = photo(mode), exact.views[0]
    draws = exact.draw(view, *image.size, generator("a view", 0, 0)) | {"box": box}
    pairs = [(exact.render(image, view, draws), fast.render(image, view, draws))]
    assert distance(pairs) < 1.2
