"""Operations on pixels are torchvision's, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as tv

from sslkit.parts import Bands
from sslkit_vision import pixel_ops


def photo(mode: str) -> Image.Image:
    """A smooth random image: noise would hide mistakes of filters."""
    small = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((60, 40), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (pixel_ops.adjust_brightness, tv.adjust_brightness, (0.0, 0.3, 1.0, 1.7)),
        (pixel_ops.adjust_contrast, tv.adjust_contrast, (0.0, 0.3, 1.0, 1.7)),
        (pixel_ops.adjust_saturation, tv.adjust_saturation, (0.0, 0.3, 1.0, 1.7)),
        (pixel_ops.adjust_hue, tv.adjust_hue, (-0.5, -0.13, -0.001, 0.07, 0.5)),
        (pixel_ops.solarize, tv.solarize, (1, 128, 250)),
    ],
)
def test_operations_are_equal_to_torchvisions(
    mode: str, ours: Callable[..., Image.Image], theirs: Callable[..., Image.Image], values: tuple[float, ...]
) -> None:
    image = photo(mode=mode)
    for value in values:
        assert ours(image, value).tobytes() == theirs(image, value).tobytes()


def test_gray_is_torchvisions() -> None:
    image = photo("RGB")
    assert pixel_ops.to_gray(image).tobytes() == tv.to_grayscale(image, 3).tobytes()
    grey = photo("L")
    assert pixel_ops.to_gray(grey).tobytes() == grey.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("box", [(0, 0, 40, 60), (3, 10, 20, 30), (39, 59, 1, 1)])
def test_crops_are_torchvisions(mode: str, interpolation: pixel_ops.Interpolation, box: tuple[int, ...]) -> None:
    image = photo(mode)
    expected = tv.resized_crop(image, *box, [16, 16], tv.InterpolationMode(interpolation))
    assert pixel_ops.crop_and_resize(image, *box, 16, interpolation).tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_become_a_tensor_of_their_own(mode: str) -> None:
    image = photo(mode)
    pixels = pixel_ops.to_pixels(image)
    np.testing.assert_array_equal(pixels, tv.pil_to_tensor(image))
    before = image.tobytes()
    pixels.zero_()
    assert image.tobytes() == before


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
def test_contrast_of_bands_is_about_the_mean_of_them_all(factor: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 9, 7), dtype=np.uint8)
    grey = np.floor(pixels.astype(np.float64).mean() + 0.5)
    expected = np.clip(grey + factor * (pixels - grey), 0, 255)
    found = pixel_ops.adjust_contrast(Bands.from_array(pixels, "first"), factor).array()
    # Pillow's blend cuts off what lies behind the point, in float32
    assert np.abs(found - expected).max() < 1.001


@pytest.mark.parametrize("operation", [pixel_ops.adjust_hue, pixel_ops.adjust_saturation])
def test_bands_have_no_colour(operation: Callable[..., object]) -> None:
    bands = Bands.from_array(np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(TypeError, match="2 bands have no hue"):
        operation(bands, 0.1)
    with pytest.raises(TypeError, match="2 bands have no hue"):
        pixel_ops.to_gray(bands)
