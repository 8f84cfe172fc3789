"""Preprocessing is torchvision's, pixel by pixel, and normalising is what its formula says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from sslkit.data.preprocess import normalize, preprocess_image
from sslkit.errors import UserError
from sslkit.parts import Bands, Preprocess


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("size", "resize"), [(32, None), (32, 37), (17, 32), (16, 16)])
@pytest.mark.parametrize(
    ("width", "height"), [(50, 37), (37, 50), (33, 91), (16, 16), (8, 8), (1, 1), (5, 3), (37, 37)]
)
def test_pixels_equal_torchvision(width: int, height: int, size: int, resize: int | None, interpolation: str) -> None:
    image = picture(width, height)
    mode = transforms.InterpolationMode(interpolation)
    reference = transforms.Compose(
        [transforms.Resize(resize or size, mode), transforms.CenterCrop(size), transforms.PILToTensor()]
    )
    ours = preprocess_image(image, Preprocess(size=size, resize=resize, interpolation=interpolation))
    assert ours.dtype == torch.uint8
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, reference(image), rtol=0, atol=0)


@pytest.mark.parametrize(("width", "height"), [(300, 7), (7, 300), (499, 31)])
def test_long_images_are_cropped_first_and_look_the_same(width: int, height: int) -> None:
    # of little contrast: what overshoots would be clipped in another order
    image = picture(width, height).point(lambda value: 64 + value // 2)
    bicubic = transforms.InterpolationMode.BICUBIC
    reference = transforms.Compose(
        [transforms.Resize(32, bicubic), transforms.CenterCrop(28), transforms.PILToTensor()]
    )
    ours = preprocess_image(image, Preprocess(size=28, resize=32))
    assert (ours.int() - reference(image).int()).abs().max() <= 1


def test_a_strip_of_30000_pixels_needs_no_memory() -> None:
    assert preprocess_image(picture(1, 30000), Preprocess(size=224, resize=256)).shape == (3, 224, 224)


def test_modes_and_channels() -> None:
    for mode in ("L", "RGB", "RGBA"):
        assert preprocess_image(picture(20, 30, mode), Preprocess(size=16)).shape == (3, 16, 16)
        assert preprocess_image(picture(20, 30, mode), Preprocess(size=16, channels=1)).shape == (1, 16, 16)


@pytest.mark.parametrize(("width", "height"), [(50, 37), (33, 91), (16, 16), (8, 8), (1, 1), (300, 7)])
def test_bands_are_resized_and_cropped_as_the_channels_of_rgb_are(width: int, height: int) -> None:
    image = picture(width, height)
    red, green, blue = image.split()
    bands = preprocess_image(Bands((red, green, blue, red, green)), Preprocess(size=28, resize=32, channels=5))
    colour = preprocess_image(image, Preprocess(size=28, resize=32))
    assert torch.equal(bands, colour[[0, 1, 2, 0, 1]])


def test_normalize_is_the_formula() -> None:
    preprocess = Preprocess()
    pixels = torch.randint(0, 256, (2, 3, 3, 5, 4), dtype=torch.uint8)
    reference = (pixels.numpy().astype(np.float64) / 255 - np.array(preprocess.mean)[:, None, None]) / np.array(
        preprocess.std
    )[:, None, None]
    for given in (pixels, pixels.float()):
        before = given.clone()
        ours = normalize(given, preprocess)
        assert ours.dtype == torch.float32
        np.testing.assert_allclose(ours.numpy(), reference, rtol=0, atol=1e-6)
        assert torch.equal(given, before)


def test_normalize_equals_torchvision_bit_by_bit() -> None:
    image = picture(31, 22)
    p = Preprocess(size=16)
    reference = transforms.Normalize(p.mean, p.std)(preprocess_image(image, p).float() / 255)
    assert torch.equal(normalize(preprocess_image(image, p), p), reference)


def test_impossible_settings_are_told() -> None:
    image = picture(20, 20)
    with pytest.raises(UserError, match=r"resize: 16 is less than the crop, preprocess.size 32"):
        preprocess_image(image, Preprocess(size=32, resize=16))
    for given in (image, image.convert("LA")):
        with pytest.raises(UserError, match="channels: 2 bands are expected, not a PIL image of mode"):
            preprocess_image(given, Preprocess(channels=2))
    for channels in (1, 3, 4):
        with pytest.raises(UserError, match=f"channels: {channels} bands are expected, not 2 bands"):
            preprocess_image(Bands(image.split()[:2]), Preprocess(channels=channels))
    with pytest.raises(UserError, match=r"each of 1 channel\(s\), not 3 and 3"):
        normalize(torch.zeros(1, 4, 4), Preprocess(channels=1))
