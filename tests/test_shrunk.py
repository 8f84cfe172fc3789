"""Large images that are shrunk as they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling

from sslkit.data.reading import UnreadableImage, read_image
from sslkit.data.shrunk import ShrunkImages
from sslkit.engine.build import prepared_images
from sslkit.parts import ImageFiles, Images
from sslkit.recipe.load import load_recipe
from tiny_run import TINY_VIT


def photograph(file: Path, size: tuple[int, int] = (1200, 800), **options: object) -> Path:
    """Something with edges and shades."""
    small = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Resampling.BICUBIC).save(file, **options)
    return file


class Arrays(Images):
    """One image of four channels."""

    classes = None

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> torch.Tensor:
        return torch.arange(4 * 60 * 80).reshape(4, 60, 80).to(torch.uint8)


def test_a_jpeg_is_decoded_at_an_eighth_and_close_to_what_it_would_be(tmp_path: Path) -> None:
    images = ImageFiles([photograph(tmp_path / "x.jpg")])
    assert read_image(images, 0, 3, at_least=100).size == (150, 100)
    assert read_image(images, 0, 3, at_least=101).size == (300, 200)
    assert read_image(images, 0, 3, at_least=801).size == (1200, 800)
    found = read_image(ShrunkImages(images, 50, 3), 0, 3)
    whole = read_image(images, 0, 3)
    wanted = whole.resize((75, 50), Resampling.BICUBIC)
    assert found.size == wanted.size
    assert np.abs(np.asarray(found).astype(int) - np.asarray(wanted)).mean() < 1


@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_not_larger_is_left_as_it_is(tmp_path: Path, name: str, channels: int) -> None:
    images = ImageFiles([photograph(tmp_path / name, (120, 80))])
    left = read_image(ShrunkImages(images, 80, channels), 0, channels)
    assert left.tobytes() == read_image(images, 0, channels).tobytes()
    assert read_image(ShrunkImages(images, 20, channels), 0, channels).size == (30, 20)


def test_upright_first_and_of_any_number_of_channels(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    images = ImageFiles([photograph(tmp_path / "x.jpg", exif=turned)])
    assert read_image(ShrunkImages(images, 50, 3), 0, 3).size == (50, 75)
    bands = read_image(ShrunkImages(Arrays(), 30, 4), 0, 4)
    assert bands.size == (40, 30)
    assert len(bands.bands) == 4  # type: ignore[union-attr]


def test_one_that_cannot_be_read_is_called_by_its_name_once(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no image")
    images = ImageFiles([tmp_path / "x.jpg"])
    with pytest.raises(UnreadableImage) as plain:
        read_image(images, 0, 3)
    with pytest.raises(UnreadableImage) as shrunk:
        read_image(ShrunkImages(images, 50, 3), 0, 3)
    assert str(shrunk.value) == str(plain.value) == f"{tmp_path / 'x.jpg'}: not an image of a type that Pillow knows"


def test_a_recipe_s_images(tmp_path: Path) -> None:
    images = ImageFiles([photograph(tmp_path / "x.jpg")])

    def read(**train: object) -> Image.Image:
        recipe = load_recipe(TINY_VIT | {"train": {**TINY_VIT["train"], "workers": 0, **train}})  # type: ignore[dict-item]
        return read_image(prepared_images(recipe, images), 0, 3)  # type: ignore[return-value]

    assert read().size == (1200, 800)
    short = read(short_side=50)
    assert short.size == (75, 50)
    # a cache keeps the smaller ones
    cached = read(short_side=50, cache=str(tmp_path / "cache"))
    assert cached.tobytes() == short.tobytes()
    assert read(short_side=50, cache=str(tmp_path / "other"), cache_side=40).size == (60, 40)
