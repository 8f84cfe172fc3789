"""``sslkit data check``, and what a training makes of images that cannot be read."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sslkit
from sslkit.cli.main import main
from sslkit.errors import RunError
from tiny_run import TINY, tiny


def photo(seed: int, width: int = 40, height: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty good images, and whatever a test adds."""
    root = tmp_path / "photos"
    root.mkdir()
    for seed in range(40):
        photo(seed).save(root / f"good{seed:02}.png")
    return root


def spoil(root: Path) -> None:
    (root / "empty.jpg").write_bytes(b"")
    (root / "page.png").write_text("<html>404</html>")
    (root / "cut.png").write_bytes((root / "good00.png").read_bytes()[:800])
    (root / "gone.png").symlink_to(root / "nothere.png")
    os.mkfifo(root / "pipe.png")


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["data", "check", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_good_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(99, 300, 260).convert("L").save(folder / "grey.jpg")
    photo(98, 300, 260).convert("CMYK").save(folder / "print.jpg")
    words = ["--recipe", "dino_vits16", "--out", str(tmp_path / "out"), "--train.workers", "0"]
    code, said = check(capsys, str(folder), *words)
    assert code == 0, said
    assert "42 images: 42 to train" in said
    assert "short side: 32 to 260 pixels, median 32; 40 are smaller than the largest view (224)" in said
    assert "modes: RGB 40, L 1, CMYK 1" in said or "modes: RGB 40, CMYK 1, L 1" in said
    assert "all images can be read" in said
    with Image.open(tmp_path / "out/views.png") as views:
        assert views.width > 10 * 224  # two global and eight local views side by side


def test_bad_files_and_copies_are_listed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder)
    photo(3).save(folder / "again.bmp")  # other bytes, equal pixels
    out = tmp_path / "out"
    code, said = check(capsys, str(folder), "--out", str(out), "--train.workers", "2")
    assert code == 1
    assert "copies: 1 images are equal to another one" in said
    bad = {row["name"]: row["reason"] for row in read(out / "bad_images.csv")}
    assert {"empty.jpg", "page.png", "cut.png"} <= bad.keys()
    assert f"{len(bad)} images cannot be read" in said
    assert sorted(row["name"] for row in read(out / "copies.csv")) == ["again.bmp", "good03.png"]
    assert json.loads((out / "check.json").read_text())["bad"] == len(bad)


def test_test_images_in_the_training_data_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, seeds in {"train": range(6), "val": (4, 5, 7)}.items():
        (tmp_path / "data" / split).mkdir(parents=True)
        for seed in seeds:
            photo(seed).save(tmp_path / "data" / split / f"{split}{seed}.png")
    code, said = check(capsys, str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--train.workers", "0")
    assert code == 1
    assert "9 images: 6 to train, 3 to test" in said
    assert "2 test images are in the training data too" in said


def test_a_recipe_s_own_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(capsys, "--recipe", "quickstart", "--out", str(tmp_path), "--train.workers", "0")
    assert code == 0, said
    assert "1797 images: 1437 to train, 360 to test" in said
    assert "modes: L 1797" in said
    code, said = check(capsys)
    assert code == 2
    assert "which images? Name a folder, or a --recipe" in said
    code, said = check(capsys, str(tmp_path / "nothere"))
    assert code == 2
    assert "there is no such folder" in said


def fit(folder: Path, out: Path, **train: object) -> None:
    recipe = tiny(
        data={"name": "image_folder", "root": str(folder)},
        evaluate={},
        train={**TINY["train"], "batch_size": 8, "epochs": 1, **train},  # type: ignore[dict-item]
    )
    sslkit.fit(recipe, out=out)


def test_too_many_bad_images_end_a_run_and_may_be_allowed(folder: Path, tmp_path: Path) -> None:
    spoil(folder)
    sentence = r"\d images of the training data cannot be read, and train.max_bad_fraction allows 1; .*bad_images.csv"
    with pytest.raises(RunError, match=sentence):
        fit(folder, tmp_path / "run")
    with pytest.raises(RunError, match=sentence):  # also when it is continued
        fit(folder, tmp_path / "run")
    fit(folder, tmp_path / "run", max_bad_fraction=0.2)
    rows = read(tmp_path / "run/bad_images.csv")
    assert {row["met"] for row in rows} == {"training"}
    assert {"empty.jpg", "page.png", "cut.png"} <= {row["name"] for row in rows}


def test_one_bad_image_is_always_allowed_unless_none_is(folder: Path, tmp_path: Path) -> None:
    (folder / "empty.jpg").write_bytes(b"")
    fit(folder, tmp_path / "run")
    assert [row["name"] for row in read(tmp_path / "run/bad_images.csv")] == ["empty.jpg"]
    with pytest.raises(RunError, match=r"empty.jpg cannot be read: .* \(train.on_bad_image is raise\)"):
        fit(folder, tmp_path / "other", on_bad_image="raise")
