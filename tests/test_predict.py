"""``sslkit predict``: what evaluators trained stays, and gives the same answers from another process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

import sslkit
from conftest import RunSslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.evaluation.saved_classifier import read_classifier
from tiny_run import TINY_VIT, tiny

EVALUATORS = {
    "linear_cached": ["--evaluate.linear_cached.epochs", "20"],
    "linear": ["--evaluate.linear.epochs", "2"],
    "finetune": ["--evaluate.finetune.epochs", "2", "--evaluate.finetune.warmup_epochs", "0",
                 "--evaluate.finetune.augment", "crops", "--evaluate.finetune.lr", "0.01"],
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of digits as colour files, 40 a class to train on and 12 to test with."""
    root = tmp_path_factory.mktemp("photos") / "data"
    pixels, labels = load_digits(return_X_y=True)
    for label in (0, 1, 4):
        for number, row in enumerate(pixels[labels == label][:52]):
            folder = root / ("train" if number < 40 else "val") / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((row.reshape(8, 8) * 15).astype(np.uint8)).convert("RGB")
            image.save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def judged(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all three kinds of classifiers in its evaluations."""
    data = {"name": "image_folder", "root": str(photos)}
    changes = {"train.max_steps": 2, "train.epochs": 1, "train.batch_size": 16, "evaluate.knn": None}
    run = sslkit.fit(tiny(data=data), changes, out=tmp_path_factory.mktemp("runs") / "run").folder
    for name, words in EVALUATORS.items():
        assert main(["eval", str(run), name, *words]) == 0
    return run


def top1(run: Path, evaluator: str) -> float:
    values = json.loads((run / "evaluations" / "results.json").read_text())[f"teacher/{evaluator}"]["values"]
    return values["best_top1" if evaluator == "linear" else "top1"]


def accuracy(table: pd.DataFrame) -> float:
    right = [Path(path).parent.name == found for path, found in zip(table["path"], table["class"], strict=True)]
    return 100 * sum(right) / len(right)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_saved_classifier_scores_exactly_what_its_evaluator_did(
    evaluator: str, judged: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "classes.csv"
    words = ["predict", str(judged), str(photos / "val"), "--classifier", evaluator, "--out", str(out)]
    assert main(words) == 0
    table = pd.read_csv(out)
    assert list(table.columns) == ["path", "class", "probability"]
    assert len(table) == 36
    assert all(Path(path).is_file() for path in table["path"])
    assert accuracy(table) == pytest.approx(top1(judged, evaluator), abs=1e-9)
    assert table["probability"].between(1 / 3, 1).all()
    again = sslkit.predict(judged, photos / "val", classifier=f"teacher/{evaluator}")
    assert again["class"].tolist() == table["class"].tolist()


def test_another_process_gives_the_same_table_and_lists_what_it_cannot_read(
    judged: Path, photos: Path, tmp_path: Path, run_sslkit: RunSslkit
) -> None:
    folder = tmp_path / "new"
    shutil.copytree(photos / "val" / "class0", folder)
    (folder / "broken.png").write_bytes(b"no image")
    done = run_sslkit("predict", str(judged), "new", "--classifier", "finetune", "--out", "o.parquet")
    assert done.returncode == 0, done.stderr
    assert "left out, unreadable: broken.png" in done.stdout
    assert "1 of 13 images are left out, unreadable" in done.stdout
    table, here = pd.read_parquet(tmp_path / "o.parquet"), sslkit.predict(judged, folder, classifier="finetune")
    assert table["class"].tolist() == here["class"].tolist()
    np.testing.assert_allclose(table["probability"], here["probability"], rtol=1e-6)
    assert [Path(path).name for path in table["path"]] == [Path(path).name for path in here["path"]]


def test_train_and_test_folders_of_one_data_set_are_both_classified(judged: Path, photos: Path) -> None:
    table = sslkit.predict(judged, photos, classifier="linear_cached")
    assert len(table) == 156
    assert all(Path(path).is_file() for path in table["path"])
    assert table["path"].is_unique


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"optimizer.lr": 1.0}, "the section optimizer of a finished run cannot be changed"),
        ({"backbone.widths": [8]}, "the section backbone of a finished run cannot be changed"),
        ({"preprocess.size": 32}, "preprocess: a classifier sees images as it was trained with them"),
        ({"data": "digits"}, "both the folder {photos} and data are given; give one"),
        ([("train.workers", 0)], "expected a mapping of keys to values"),
    ],
)
def test_nothing_is_given_that_would_not_count(judged: Path, photos: Path, overrides: Any, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        sslkit.predict(judged, photos, classifier="linear_cached", overrides=overrides)
    assert sentence.format(photos=photos) in str(caught.value)


def test_what_is_no_folder_of_images_is_said(judged: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="nowhere: there is no such folder$"):
        sslkit.predict(judged, photos / "nowhere", classifier="linear_cached")
    with pytest.raises(UserError, match="0.png: this is a file; name the folder that holds it"):
        sslkit.predict(judged, photos / "train" / "class0" / "0.png", classifier="linear_cached")


def test_a_classifiers_file_may_begin_with_a_tilde(judged: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(judged))
    file = "~/evaluations/teacher/linear_cached/classifier.safetensors"
    assert len(sslkit.predict(judged, photos / "val", classifier=file)) == 36


def test_which_classifier_is_meant_is_asked_and_a_missing_one_names_its_command(
    judged: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(photos), "--out", str(tmp_path / "o.csv")]
    bare = tmp_path / "bare"
    shutil.copytree(judged, bare, ignore=shutil.ignore_patterns("evaluations"))
    for run, more, sentence in [
        (judged, [], "has several classifiers: teacher/"),
        (judged, ["--classifier", "linea"], "did you mean"),
        (judged, ["--classifier", "nowhere.safetensors"], "there is no such file"),
        (judged, ["--which", "student", "--classifier", "linear"], f"`sslkit eval {judged} linear --which student`"),
        (bare, [], f"has no classifier yet: `sslkit eval {bare} linear_cached` trains one"),
        (bare, ["--classifier", "finetune"], f"has no classifier 'finetune' yet: `sslkit eval {bare} finetune` trains"),
    ]:
        assert main(["predict", str(run), *words, *more]) == 2, more
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
    assert main(["predict", str(judged), "--out", "o.csv"]) == 2
    assert "which images? Name a folder" in capsys.readouterr().err
    assert main(["predict", str(judged), str(photos), "--out", "o.txt"]) == 2
    assert "use .csv or .parquet" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_a_classifier_of_other_weights_or_of_another_kind_is_refused(
    judged: Path, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "run"
    shutil.copytree(judged, other)
    file = next(other.glob("evaluations/*/linear_cached/classifier.safetensors"))
    tensors = load_file(file)
    save_file(tensors, file)
    with pytest.raises(UserError, match="cannot be read as a classifier that an evaluator saved"):
        sslkit.predict(other, photos, classifier="linear_cached")
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be read as a classifier"):
        sslkit.predict(other, photos, classifier="linear_cached")
    seed = {"train.max_steps": 2, "train.epochs": 1, "train.batch_size": 16, "evaluate.knn": None, "seed": 5}
    data = {"name": "image_folder", "root": str(photos)}
    fresh = sslkit.fit(tiny(data=data), seed, out=tmp_path / "fresh").folder
    linear = judged / "evaluations/teacher/linear/classifier.safetensors"
    with pytest.raises(UserError, match="was trained on other weights than those of"):
        sslkit.predict(fresh, photos, classifier=linear)
    vit = sslkit.fit({**TINY_VIT, "data": data}, {"train.max_steps": 1, "train.workers": 0}, out=tmp_path / "v").folder
    with pytest.raises(UserError, match="its weights do not fit the backbone"):
        sslkit.predict(vit, photos, classifier=judged / "evaluations/teacher/finetune/classifier.safetensors")


def test_a_classifier_of_a_file_of_weights_is_found_too(
    judged: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (file,) = judged.glob("checkpoints/*/weights.safetensors")
    net = ["--weights", str(file), "--backbone", "small_convnet", "--backbone.widths", "[8, 16]"]
    data = ["--data", "image_folder", "--data.root", str(photos), "--preprocess.size", "16", "--train.workers", "0"]
    assert main(["eval", *net, *data, "linear_cached"]) == 0
    assert main(["predict", *net, "--preprocess.size", "16", str(photos / "val"), "--out", "o.csv"]) == 0
    assert len(pd.read_csv("o.csv")) == 36


def test_cells_that_a_spreadsheet_would_run_are_text(judged: Path, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(judged, run)
    file = next(run.glob("evaluations/*/linear_cached/classifier.safetensors"))
    saved = read_classifier(file)
    from dataclasses import replace

    from sslkit.evaluation.saved_classifier import write_classifier

    names = ("=1+1", "@x", "plain")
    write_classifier(replace(saved, classifier=replace(saved.classifier, classes=names)), file)
    table = sslkit.predict(run, photos, tmp_path / "o.csv", classifier="linear_cached")
    assert set(table["class"]) <= set(names)
    assert set(pd.read_csv(tmp_path / "o.csv")["class"]) <= {"'=1+1", "'@x", "plain"}


def test_a_run_keeps_the_classifier_of_its_own_evaluations(photos: Path, tmp_path: Path) -> None:
    data = {"name": "image_folder", "root": str(photos)}
    changes = {"train.epochs": 1, "train.batch_size": 64, "evaluate": {"linear_cached": {"epochs": 2}}}
    run = sslkit.fit(tiny(data=data, evaluate={}), changes, out=tmp_path / "run").folder
    saved = read_classifier(run / "pictures/teacher/linear_cached/classifier.safetensors")
    assert saved.classifier.classes == ("class0", "class1", "class4")
    assert len(sslkit.predict(run, photos / "val")) == 36
    assert not list(run.rglob(".classifier*"))


def test_shapes_that_do_not_go_together_are_refused() -> None:
    from sslkit.parts import Classifier

    for wrong in (
        {"classes": ("a",)},
        {"bias": torch.zeros(3)},
        {"mean": torch.zeros(2)},
        {"weight": torch.zeros(2, 4, 1)},
    ):
        good = {"weight": torch.zeros(2, 4), "bias": torch.zeros(2), "classes": ("a", "b")}
        with pytest.raises(ValueError, match=r"classes|values|weight"):
            Classifier(**{**good, **wrong})
