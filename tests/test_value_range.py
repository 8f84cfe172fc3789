"""``preprocess.value_range`` in whole runs: training, cache, evaluation, features, and the check of data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sslkit
from number_files import tiff
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.parts import Numbers
from sslkit.recipe.load import load_recipe
from tiny_run import tiny


@pytest.mark.parametrize("value", [[4000, 0], [1, 1], [5]])
def test_a_range_is_two_numbers_in_order(value: list[float]) -> None:
    with pytest.raises(UserError, match=r"preprocess.value_range: (must be two numbers, first|expected)"):
        load_recipe(tiny(preprocess={"size": 16, "value_range": value}))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed TIFFs of two classes: bright squares on a ground of -1000."""
    root = tmp_path_factory.mktemp("scans") / "data"
    draw = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8)):
        for index in range(count):
            values = np.full((20, 20), -1000, "<i2") + draw.integers(0, 100, (20, 20)).astype("<i2")
            values[slice(2, 9) if index % 2 else slice(11, 18), 4:16] = 2500
            (root / split / f"c{index % 2}").mkdir(parents=True, exist_ok=True)
            tiff(root / split / f"c{index % 2}" / f"{index}.tif", values, form=2)
    return root


def test_a_run_its_evaluations_its_cache_and_its_features_use_the_range(scans: Path, tmp_path: Path) -> None:
    recipe = tiny(
        data={"name": "image_folder", "root": str(scans)},
        preprocess={"size": 16, "value_range": [-1000, 3000]},
        train={"epochs": 1, "batch_size": 8, "workers": 0, "lr_per_images": None, "cache": str(tmp_path / "cache")},
        evaluate={"knn": {"k": [3], "raw_pixels": True}},
    )
    summary = sslkit.fit(recipe, out=tmp_path / "run").summary
    assert summary["bad_images"] == 0
    assert summary["teacher/knn/raw_pixels_k3_top1"] == 100  # black or white alone has no classes
    assert json.loads((tmp_path / "cache/cache.json").read_text())["value_range"] == [-1000, 3000]
    assert main(["embed", str(tmp_path / "run"), "--out", str(tmp_path / "f.npz")]) == 0
    net = sslkit.load_backbone(tmp_path / "run")
    file = scans / "train/c0/0.tif"
    with np.load(tmp_path / "f.npz") as table:
        row = table["names"].tolist().index("c0/0.tif")
        given = [net.transform(Image.open(file)), net.transform(Numbers(np.asarray(Image.open(file)).astype("i2")))]
        for image in given:
            np.testing.assert_allclose(
                net(image[None]).detach().numpy()[0], table["features"][row], rtol=1e-3, atol=1e-4
            )
    # another range is another cache
    recipe["preprocess"] = {"size": 16, "value_range": [-1000, 2000]}
    sslkit.fit(recipe, out=tmp_path / "other")
    assert json.loads((tmp_path / "cache/cache.json").read_text())["value_range"] == [-1000, 2000]


def test_data_check_shows_values_and_the_option(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "check", str(scans), "--out", str(tmp_path), "--train.workers", "0"]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "values: int16 -1000 to 2500 (24 images)" in said
    assert "int16 images need preprocess.value_range, such as [-1000, 2500]" in said
    assert main([*words, "--preprocess.value_range", "[-1000, 2500]"]) == 0
    assert "need preprocess" not in capsys.readouterr().out
    numbers = json.loads((tmp_path / "check.json").read_text())
    assert numbers["values"] == {"int16": {"images": 24, "least": -1000, "most": 2500}}
    dark = tmp_path / "dark"
    dark.mkdir()
    for index in range(4):
        Image.fromarray(np.linspace(index, 4000, 4096).reshape(64, 64).astype("u2")).save(dark / f"{index}.png")
    assert main(["data", "check", str(dark), "--out", str(tmp_path), "--train.workers", "0"]) == 0
    assert "uint16 images reach only 4000 of 65535 and look nearly black: preprocess.value_range: [0, 4000]" in (
        capsys.readouterr().out
    )
    # a file that says what is white is not dark
    white = tmp_path / "white"
    white.mkdir()
    for most in (1023, 4095):
        pixels = np.linspace(0, most, 4096).reshape(64, 64).astype(">u2")
        (white / f"{most}.pgm").write_bytes(f"P5 64 64 {most}\n".encode() + pixels.tobytes())
    assert main(["data", "check", str(white), "--out", str(tmp_path), "--train.workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "values: uint10 0 to 1023 (1 images), uint12 0 to 4095 (1 images)" in said
    assert "preprocess.value_range" not in said
