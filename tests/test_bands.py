"""Bands: what each part does to images of many channels is what it does to RGB and grey ones."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from sslkit.errors import UserError
from sslkit.parts import Bands, channels_first
from sslkit_evaluators.query_transform import QueryTransform
from sslkit_vision.multicrop import MultiCrop
from sslkit_vision.synthetic import Synthetic

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 11, 7), dtype=np.uint8)


def test_bands_do_to_each_channel_what_pillow_does_to_rgb() -> None:
    image = Image.fromarray(np.moveaxis(PIXELS[:3], 0, 2))
    bands = pickle.loads(pickle.dumps(Bands(image.split())))
    assert (bands.size, bands.width, bands.height) == (image.size, 7, 11)
    for method, arguments in [
        ("crop", [(-2, 1, 5, 20)]),
        ("resize", [(9, 30), Image.Resampling.BICUBIC]),
        ("resize", [(3, 4), Image.Resampling.BILINEAR, (1.5, 0.25, 6, 9)]),
        ("resize", [(5, 5)]),
        ("rotate", [33.0, Image.Resampling.BICUBIC]),
        ("rotate", [12.0]),
        ("transpose", [Image.Transpose.FLIP_LEFT_RIGHT]),
        ("transpose", [Image.Transpose.ROTATE_90]),
        ("filter", [ImageFilter.GaussianBlur(1.3)]),
    ]:
        expected = np.moveaxis(np.asarray(getattr(image, method)(*arguments)), 2, 0)
        np.testing.assert_array_equal(getattr(bands, method)(*arguments).array(), expected, err_msg=method)
    np.testing.assert_array_equal(bands.array(), PIXELS[:3])


@pytest.mark.parametrize("bands", [(), (Image.new("RGB", (2, 2)),), (Image.new("L", (2, 2)), Image.new("L", (2, 3)))])
def test_bands_are_grey_and_of_one_size(bands: tuple[Image.Image, ...]) -> None:
    with pytest.raises(ValueError, match="one or more images of mode L and of one size"):
        Bands(bands)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 7, 255]], np.uint8), [0, 7, 255]),
        (np.array([[0, 128, 129, 257, 32768, 65535]], ">u2"), [0, 0, 1, 1, 128, 255]),
        (np.array([[0, 0.5, 1, np.nan]], np.float16), [0, 128, 255, 0]),
        (np.array([[0, 0.6, 100.4, 255]], np.float64), [0, 1, 100, 255]),
        (np.array([[False, True]]), [0, 255]),
    ],
)
def test_arrays_become_8_bits(values: np.ndarray, expected: list[int]) -> None:
    found = channels_first(values)
    assert (found.dtype, found.tolist()) == (np.uint8, [[expected]])


def test_floats_are_scaled_for_all_channels_together() -> None:
    values = np.stack([np.full((3, 4), 0.5), np.full((3, 4), 200.0)])
    assert [plane.max() for plane in channels_first(values)] == [0, 200]


# --- multi-crop ------------------------------------------------------------------------------------------------

NO_COLOUR: dict[str, Any] = {"global_size": 32, "local_size": 16, "saturation": 0.0, "hue": 0.0, "grayscale": 0.0}


def photo() -> Image.Image:
    """A smooth random image: noise would hide mistakes of filters."""
    small = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((45, 61), Image.Resampling.BICUBIC)


def test_bands_are_rendered_as_the_channels_of_rgb_are() -> None:
    # contrast is about another mean: of all bands, and not of the luma
    options = NO_COLOUR | {
        "pixels": "exact",
        "contrast": 0.0,
        "rotation": 30,
        "noise": 0.05,
        "solarize": (0.5, 0.5, 0.5),
    }
    augmenter, image = MultiCrop(channels=3, **options), photo()
    bands = Bands((*image.split(), image.getchannel(0)))
    for view, seed in itertools.product(augmenter.views[:3], range(8)):
        draws = augmenter.draw(view, *image.size, np.random.default_rng(seed))
        assert draws == MultiCrop(channels=4, **options).draw(view, *bands.size, np.random.default_rng(seed))
        three = augmenter.render(Bands(bands.bands[:3]), view, draws)
        assert torch.equal(augmenter.render(image, view, draws), three)
        four = MultiCrop(channels=4, **(options | {"noise": 0.0})).render(bands, view, draws)
        assert (four.shape, four.dtype) == ((4, view.size, view.size), torch.uint8)
        assert torch.equal(four[3], four[0])


def test_augmentations_say_what_they_cannot_do() -> None:
    with pytest.raises(UserError) as caught:
        MultiCrop(channels=5)
    assert str(caught.value) == (
        "preprocess.channels is 5: only images of 3 channels (RGB) or 1 (grey) have colours to change; "
        "set augment.saturation 0, augment.hue 0, augment.grayscale 0"
    )
    with pytest.raises(UserError, match=r"to change; set augment\.grayscale 0$"):
        MultiCrop(channels=5, jitter=0.0)
    assert len(MultiCrop(channels=5, **NO_COLOUR).views) == 10


# --- parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_synthetic_images_of_any_channels(channels: int) -> None:
    data = Synthetic(images=8, size=20, classes=2, channels=channels)
    images = data.split("test")
    assert images is not None
    pixels = images.read(1)
    assert isinstance(pixels, torch.Tensor)
    assert pixels.shape == (channels, 20, 20)
    assert torch.equal(pixels, images.read(1))  # type: ignore[arg-type]
    assert len({plane.numpy().tobytes() for plane in pixels}) == channels
    with pytest.raises(UserError, match="channels is 0"):
        Synthetic(channels=0)


def test_query_transforms_treat_all_bands_alike() -> None:
    image = Image.fromarray(np.moveaxis(PIXELS[:3], 0, 2))
    transform = QueryTransform((0.5, 1.0), 25.0, short=24, seed=0, repeat=0)
    bands, colour = transform(Bands(image.split()), 3), transform(image, 3)
    np.testing.assert_array_equal(bands.array(), np.moveaxis(np.asarray(colour), 2, 0))
