"""What the corners of rotated images show, by every renderer and for bands; black changes no pixel of before."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling

from crop_pictures import photo
from sslkit.errors import UserError
from sslkit.parts import Bands
from sslkit.parts.rotation import Fill, rotated
from sslkit_evaluators.knn import KNN
from sslkit_evaluators.query_transform import QueryTransform
from sslkit_vision.multicrop import MultiCrop

FILLS: list[Fill] = ["black", "edge", "mean"]
PLAIN: dict[str, Any] = {
    "global_size": 32, "local_crops": 0, "global_scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "jitter": 0.0,
    "grayscale": 0.0, "blur": (0.0, 0.0, 0.0), "solarize": (0.0, 0.0, 0.0),
}  # fmt: skip


def bright(width: int = 40, height: int = 28) -> Image.Image:
    """No pixel of it is dark."""
    pixels = np.random.default_rng(0).integers(150, 220, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Resampling.BILINEAR)


@pytest.mark.parametrize("degrees", [-180.0, -67.5, -30.0, 3.0, 45.0, 90.0])
@pytest.mark.parametrize("image", [bright(), bright(28, 40), bright().convert("L")], ids=["wide", "high", "grey"])
def test_corners_are_filled_and_all_else_stays(image: Image.Image, degrees: float) -> None:
    inside = np.asarray(Image.new("L", image.size, 255).rotate(degrees, Resampling.BICUBIC)) == 255
    black = np.asarray(rotated(image, degrees, Resampling.BICUBIC))
    np.testing.assert_array_equal(black, np.asarray(image.rotate(degrees, Resampling.BICUBIC)))
    for fill in ("edge", "mean"):
        found = np.asarray(rotated(image, degrees, Resampling.BICUBIC, fill))  # type: ignore[arg-type]
        assert found.shape == black.shape
        assert found.min() > 120
        # along the seam the filter reaches over it
        seam = np.asarray(Image.fromarray(~inside).convert("L").resize(image.size)) > 0
        deep = ~_grown(seam, 3)
        assert np.abs(found[deep].astype(int) - black[deep]).max(initial=0) <= 1


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    whole = np.pad(mask, by)
    turns = [(down, right) for down in range(-by, by + 1) for right in range(-by, by + 1)]
    return np.any([np.roll(whole, turn, (0, 1))[by:-by, by:-by] for turn in turns], axis=0)


def test_edge_continues_the_outermost_pixels_and_mean_is_the_mean() -> None:
    image = Image.new("RGB", (30, 30), (200, 100, 50))
    for fill in ("edge", "mean"):
        turned = rotated(image, 33.0, Resampling.BICUBIC, fill)  # type: ignore[arg-type]
        assert (np.asarray(turned) == (200, 100, 50)).all()
    image.paste((0, 0, 0), (0, 0, 30, 15))
    corner = rotated(image, 45.0, Resampling.BICUBIC, "mean").getpixel((0, 0))
    assert corner == (100, 50, 25)
    assert rotated(image, 45.0, Resampling.BICUBIC, "edge").getpixel((29, 29)) == (200, 100, 50)


@pytest.mark.parametrize("fill", FILLS)
def test_renderers_and_bands_agree(fill: Fill) -> None:
    image = photo()
    colourless = PLAIN | {"saturation": 0.0, "hue": 0.0}
    exact = MultiCrop(3, rotation=40, rotation_fill=fill, pixels="exact", **colourless)
    view = exact.views[0]
    draws = exact.draw(view, *image.size, np.random.default_rng(3)) | {"rotation": 33.0}  # type: ignore[operator]
    expected = exact.render(image, view, draws)
    assert torch.equal(exact.render(Bands(image.split()), view, draws), expected)
    if find_spec("cv2") is not None:
        fast = MultiCrop(3, rotation=40, rotation_fill=fill, pixels="fast", **colourless)
        assert fast.draw(view, *image.size, np.random.default_rng(3)) | {"rotation": 33.0} == draws  # type: ignore[operator]
        assert (fast.render(image, view, draws).int() - expected.int()).abs().max() <= 1
    with pytest.raises(UserError, match="which has no rotation and noise"):
        MultiCrop(3, rotation=40, rotation_fill=fill, pixels="device", **colourless)


def test_corners_of_a_view_are_dark_by_default_and_not_with_the_other_two() -> None:
    least = {}
    for fill in FILLS:
        part = MultiCrop(3, rotation=40, rotation_fill=fill, pixels="exact", **PLAIN)
        draws = part.draw(part.views[0], 28, 28, np.random.default_rng(3)) | {"rotation": 33.0}  # type: ignore[operator]
        least[fill] = int(part.render(bright(28, 28), part.views[0], draws).min())
    assert least["black"] < 20
    assert min(least["edge"], least["mean"]) > 120
    default = MultiCrop(3, rotation=40, pixels="exact", **PLAIN)
    draws = default.draw(default.views[0], 28, 28, np.random.default_rng(3)) | {"rotation": 33.0}  # type: ignore[operator]
    black = MultiCrop(3, rotation=40, rotation_fill="black", pixels="exact", **PLAIN)
    assert torch.equal(*(part.render(photo(), part.views[0], draws) for part in (default, black)))


@pytest.mark.parametrize("fill", FILLS)
def test_queries_of_knn_are_filled_alike(fill: Fill) -> None:
    image = bright()
    turn = QueryTransform(None, 60.0, 28, seed=0, repeat=0, fill=fill)
    found, bands = turn(image, 5), turn(Bands(image.split()), 5)
    np.testing.assert_array_equal(np.moveaxis(np.asarray(found), 2, 0), bands.array())  # type: ignore[union-attr]
    assert (np.asarray(found).min() > 120) == (fill != "black")
    assert KNN(query_degrees=5.0, query_fill=fill).query_fill == fill
