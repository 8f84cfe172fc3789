"""What a run is used for after its training images are gone, or from another working folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import sslkit
from sslkit.cli.main import main
from tiny_run import tiny


def images(root: Path, count: int = 8) -> Path:
    """Two classes to train on and to test with."""
    draw = np.random.default_rng(0)
    for place in ("train/a", "train/b", "val/a", "val/b"):
        (root / place).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(draw.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(root / place / f"{index}.png")
    return root


RECIPE = tiny(
    data={"name": "image_folder", "root": "d"},
    train={"epochs": 2, "batch_size": 4, "workers": 0, "lr_per_images": None},
    evaluate={"knn": {"k": [1]}},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run ``r`` of one step, made there with a relative root, and its images ``d``."""
    here, before = tmp_path_factory.mktemp("trained"), Path.cwd()
    images(here / "d")
    os.chdir(here)
    try:
        sslkit.fit(RECIPE, {"train.max_steps": 1}, out="r")
    finally:
        os.chdir(before)
    return here


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main([*words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_run_is_continued_evaluated_and_embedded_from_another_working_folder(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = trained / "r"
    assert told(capsys, "embed", str(run), "--out", "f.npz", "--train.workers", "0")[0] == 0
    assert len(np.load("f.npz")["names"]) == 32
    assert told(capsys, "eval", str(run), "--out", "e", "--train.workers", "0")[0] == 0
    code, said = told(capsys, "fit", "--recipe", str(run / "recipe.yaml"), "--train.max_steps", "2", "--out", str(run))
    assert (code, "continuing" in said) == (0, True), said
    # the same run again, elsewhere
    assert told(capsys, "fit", "--recipe", str(run / "recipe.yaml"), "--out", "again")[0] == 0


def test_a_run_of_an_older_version_is_continued_where_it_was_begun(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It had the root as it was typed, and one option fewer."""
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "d")
    sslkit.fit(RECIPE, {"train.max_steps": 1}, out="old")
    recipe = yaml.safe_load(Path("old/recipe.yaml").read_text())
    recipe["data"]["root"] = "d"
    del recipe["data"]["split_folders"]
    Path("old/recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert told(capsys, "embed", "old", "--out", "f.npz", "--train.workers", "0")[0] == 0
    sslkit.fit(RECIPE, {"train.max_steps": 2}, out="old")
    assert yaml.safe_load(Path("old/recipe.yaml").read_text())["data"]["root"] == str(tmp_path / "d")
    # and with its images elsewhere
    Path("d").rename("moved")
    sslkit.fit(RECIPE, {"train.max_steps": 3, "data.root": "moved"}, out="old")
    assert "step 2" in capsys.readouterr().out


def test_a_run_whose_images_are_gone_is_still_used(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run, there, gone = str(trained / "r"), trained / "d", trained / "gone"
    there.rename(gone)
    try:
        assert sslkit.load_backbone(run).embed_dim == 16
        assert told(capsys, "export", run, "--to", "torch", "--out", "o.pth")[0] == 0
        other = ("--data", "image_folder", "--data.root", str(gone), "--train.workers", "0")
        assert told(capsys, "embed", run, "--out", "f.npz", *other)[0] == 0
        assert told(capsys, "eval", run, "knn", "--out", "e", *other)[0] == 0
        assert told(capsys, "embed", run, "--out", "g.npz", "--data.root", str(gone), "--train.workers", "0")[0] == 0
        code, said = told(capsys, "embed", run, "--out", "h.npz")
        assert code == 2
        assert f"data.root is '{there}': there is no such folder; if the images lie elsewhere now" in said
        code, said = told(capsys, "eval", run, "--out", "e")
        assert (code, "there is no such folder" in said) == (2, True)
        assert "Traceback" not in said
    finally:
        gone.rename(there)


def test_evaluation_data_that_are_gone_matter_to_nobody_who_brings_other_ones(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = images(tmp_path / "judged")
    part = {"name": "image_folder", "root": str(judged)}
    sslkit.fit({**RECIPE, "eval_data": part}, {"train.max_steps": 1, "data.root": str(trained / "d")}, out="r")
    judged.rename(tmp_path / "later")
    assert sslkit.load_backbone("r").embed_dim == 16
    words = ("eval", "r", "--out", "e", "--train.workers", "0")
    assert told(capsys, *words)[0] == 2
    assert told(capsys, *words, "--eval_data.root", "later")[0] == 0
    assert told(capsys, *words, "--data.root", str(trained / "d"))[0] == 0
