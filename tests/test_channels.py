"""Images of any number of channels, from the file to the features."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sslkit
from evaluation_parts import Patterns
from sslkit.cli.main import main
from sslkit.data.reading import UnreadableImage, read_image
from sslkit.errors import UserError
from sslkit.parts import Bands, Images, channels_first
from sslkit_vision.image_folder import FolderImages, ImageFolder
from tiny_run import TINY, tiny

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 11, 7), dtype=np.uint8)
DOCS = Path(__file__).parents[1] / "docs" / "channels.md"


def only(path: Path) -> Images:
    """A folder of one image, as a split."""
    return FolderImages(path.parent, [path.name], None)


def read(path: Path, channels: int) -> Any:
    return read_image(only(path), 0, channels)


def refused(path: Path, channels: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(path, channels)
    assert caught.value.bad.name == path.name
    return caught.value.bad.reason


# --- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["chw", "hwc"])
def test_npy_files_of_five_channels(tmp_path: Path, shape: str) -> None:
    np.save(tmp_path / "a.npy", PIXELS if shape == "chw" else np.moveaxis(PIXELS, 0, 2))
    np.testing.assert_array_equal(read(tmp_path / "a.npy", 5).array(), PIXELS)
    for channels in (1, 3, 4):
        assert refused(tmp_path / "a.npy", channels) == f"has 5 channels, and preprocess.channels is {channels}"


def test_npy_files_of_one_and_three_channels_are_grey_and_rgb(tmp_path: Path) -> None:
    for values in (PIXELS[0], PIXELS[:1], PIXELS[:3]):
        np.save(tmp_path / "a.npy", values)
        shown = Image.fromarray(values if values.ndim == 2 else np.moveaxis(values, 0, 2).squeeze())
        for channels, mode in ((1, "L"), (3, "RGB")):
            found = read(tmp_path / "a.npy", channels)
            assert found.mode == mode
            np.testing.assert_array_equal(np.asarray(found), np.asarray(shown.convert(mode)))
        assert "preprocess.channels is 2" in refused(tmp_path / "a.npy", 2)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r"has the shape [2, 3, 4, 5]; an image is [H, W], [C, H, W] or [H, W, C]"),
        (np.zeros((4, 5, 4), np.uint8), r"may be the first axis or the last"),
        (np.zeros((2, 4, 5), np.int64), "has values of type int64; readable are uint8, uint16"),
        (np.full((2, 4, 5), 256.0), "has floats from 256 to 256"),
        (np.full((2, 4, 5), "a"), "has values of type <U1"),
        (np.array([[{"an": "object"}]]), "not a NumPy array of numbers: Object arrays cannot be loaded"),
        (np.zeros((2, 0, 5), np.uint8), ""),
    ],
)
def test_arrays_that_are_no_images_are_unreadable(tmp_path: Path, values: np.ndarray, says: str) -> None:
    np.save(tmp_path / "a.npy", values)
    assert says in refused(tmp_path / "a.npy", 2)


def test_damaged_npy_files_are_unreadable(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", PIXELS)
    whole, path, draw = (tmp_path / "whole.npy").read_bytes(), tmp_path / "a.npy", np.random.default_rng(0)
    for end in (0, 5, 9, 60, 130, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert "not a NumPy array of numbers" in refused(path, 5)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in draw.integers(0, 100, 2):
            damaged[place] = draw.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read(path, 5)
        except UnreadableImage as error:
            assert "\n" not in error.bad.reason  # noqa: PT017 - some of the damage harms nothing


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_grey_pages_of_a_tiff_are_channels(tmp_path: Path, kind: type) -> None:
    values = PIXELS.astype(kind) * (257 if kind is np.uint16 else 1)
    values[0] = values[0] > 128  # by itself this band would pass for floats of 0 to 1
    pages = [Image.fromarray(page) for page in values]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 5).array(), channels_first(values, "first"))
    assert refused(tmp_path / "a.tif", 3) == "has 5 channels (pages), and preprocess.channels is 3"
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:3])
    colour = np.moveaxis(channels_first(values[:3], "first"), 0, 2)
    np.testing.assert_array_equal(np.asarray(read(tmp_path / "a.tif", 3)), colour)


def test_pages_are_turned_upright_and_previews_are_no_channels(tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in PIXELS]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo={274: 6})
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 5).array(), np.rot90(PIXELS, -1, axes=(1, 2)))
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=[pages[1].resize((3, 5))])
    np.testing.assert_array_equal(np.asarray(read(tmp_path / "a.tif", 1)), PIXELS[0])
    assert refused(tmp_path / "a.tif", 2) == "has 1 channel (mode L), and preprocess.channels is 2"


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 4), ("LA", 2)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_a_channel_where_it_is_asked_for(tmp_path: Path, mode: str, channels: int, suffix: str) -> None:
    given = Image.merge(mode, [Image.fromarray(band) for band in PIXELS[:channels]])
    given.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}", channels).array(), PIXELS[:channels])
    assert read(tmp_path / f"a{suffix}", 3).mode == "RGB"
    assert f"has {channels} channels (mode {mode})" in refused(tmp_path / f"a{suffix}", 5)


@pytest.mark.parametrize(("mode", "count"), [("L", 1), ("I;16", 1), ("RGB", 3), ("P", 3), ("CMYK", 3)])
def test_nothing_is_made_of_images_of_fewer_channels(tmp_path: Path, mode: str, count: int) -> None:
    Image.new(mode, (4, 3)).save(tmp_path / "a.tif")
    assert refused(tmp_path / "a.tif", 4).startswith(f"has {count} channel")


def test_samples_that_pillow_does_not_read_are_told(tmp_path: Path) -> None:
    Image.new("RGBX", (4, 3)).save(tmp_path / "a.tif")
    assert "has 4 channels of which Pillow reads 3: store them as pages" in refused(tmp_path / "a.tif", 4)
    (tmp_path / "b.tif").write_bytes(b"II*\0" + bytes(30))
    assert refused(tmp_path / "b.tif", 4) == "not a TIFF of a type that Pillow knows"


# --- whole runs --------------------------------------------------------------------------------------------------

STATISTICS = {"mean": [0.5] * 5, "std": [0.25] * 5}
AUGMENT = {**TINY["augment"], "saturation": 0, "hue": 0, "grayscale": 0}  # type: ignore[dict-item]
BACKBONES = {
    "small_convnet": {"name": "small_convnet", "widths": [8, 16]},
    "vit": {"name": "vit", "dim": 16, "depth": 2, "heads": 2, "patch_size": 4, "drop_path_rate": 0.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrays of five bands: stripes of two classes, both layouts, and one array of four bands."""
    root = tmp_path_factory.mktemp("five") / "data"
    for split, count in (("train", 40), ("val", 12)):
        sources = [Patterns(count, 10 * band + (split == "val"), classes=2) for band in range(5)]
        for index in range(count):
            values = np.concatenate([source.read(index).numpy() for source in sources])
            path = root / split / f"class{index % 2}" / f"{index}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values if index % 3 else np.moveaxis(values, 0, 2))
    np.save(root / "train" / "class0" / "four.npy", values[:4])
    return root


def recipe(folder: Path, backbone: str) -> dict[str, object]:
    return tiny(
        data={"name": "image_folder", "root": str(folder)},
        preprocess={"size": 16, "channels": 5, **STATISTICS},
        augment=AUGMENT,
        backbone=BACKBONES[backbone],
        train={"epochs": 1, "batch_size": 8, "workers": 0, "lr_per_images": None},
        evaluate={
            "knn": {"k": [3], "query_degrees": 20.0, "raw_pixels": True},
            "linear_cached": {"epochs": 5},
            "spectrum": {},
            **({"attention": {"images": 1}} if backbone == "vit" else {}),
        },
    )


@pytest.mark.parametrize("backbone", BACKBONES)
def test_five_bands_from_files_to_features(tmp_path: Path, folder: Path, backbone: str) -> None:
    result = sslkit.fit(recipe(folder, backbone), out=tmp_path / "run")
    numbers = result.summary
    assert numbers["teacher/knn/raw_pixels_k3_top1"] > 80  # the stripes are there to be seen
    assert all(numbers[f"teacher/{key}"] > 0 for key in ("knn/k3_top1", "linear_cached/top1", "spectrum/rankme"))
    assert numbers["bad_images"] == 1
    assert 'four.npy,"has 4 channels, and' in (tmp_path / "run" / "bad_images.csv").read_text()
    pictures = [path for path in (tmp_path / "run" / "pictures").rglob("*.png") if path.stem != "curves"]
    assert len(pictures) == (2 if backbone == "vit" else 1)
    assert {Image.open(path).mode for path in pictures} == {"RGB"}

    assert main(["embed", str(tmp_path / "run"), "--out", str(tmp_path / "out.npz")]) == 0
    net = sslkit.load_backbone(tmp_path / "run")
    with np.load(tmp_path / "out.npz") as table:
        assert table["features"].shape == (52, 16)
        for row in (0, 7, 51):
            file = folder / {"train": "train", "test": "val"}[str(table["splits"][row])] / str(table["names"][row])
            pixels = Bands.from_array(np.load(file))
            for given in (pixels, torch.from_numpy(pixels.array())):
                with torch.no_grad():
                    found = net(net.transform(given)[None])[0]
                np.testing.assert_allclose(found.numpy(), table["features"][row], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="has 3 channels .*, and preprocess.channels is 5"):
        net.transform(Image.new("RGB", (16, 16)))


def test_what_a_recipe_must_say_is_told(folder: Path) -> None:
    for section, left, says in [
        ("augment", TINY["augment"], "augment.*set augment.saturation 0, augment.hue 0, augment.grayscale 0"),
        ("preprocess", {"size": 16, "channels": 5}, "preprocess.mean: needs one number in 0..1 for each of"),
        ("preprocess", {"size": 16, "channels": 0}, "preprocess.channels: must be at least 1: 3 for RGB"),
        ("preprocess", {"size": 16, "channels": 6, "mean": [0.5] * 6, "std": [0.2] * 6},
         "not one can be read; the first: class0/0.npy: has 5 channels, and preprocess.channels is 6"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=says):
            sslkit.fit(recipe(folder, "small_convnet") | {section: left}, out=folder.parent / "refused", fresh=True)


def test_the_pages_snippet_gives_mean_and_std(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "class0" / "four.npy").unlink()
    snippet = next(
        code for code in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if "moments" in code
    )
    exec(snippet.replace("DIR", str(folder)), {})
    found = re.fullmatch(r"mean: \[(.*)\] std: \[(.*)\]", capsys.readouterr().out.strip())
    assert found
    images = ImageFolder(str(folder)).split("train")
    assert images is not None
    pixels = np.stack([np.asarray(images.read(index)) for index in range(len(images))]) / 255.0
    for numbers, expected in zip(found.groups(), (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))), strict=True):
        np.testing.assert_allclose([float(number) for number in numbers.split(",")], expected, atol=1e-4)
