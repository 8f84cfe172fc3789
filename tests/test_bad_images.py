"""The log of unreadable images and the count that ends a run: by split and index, over the files as they are now."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sslkit
from forked import fork_ranks, sslkit_main, wait
from sslkit.cli.main import main
from sslkit.data.reading import BadImage
from sslkit.engine.bad_images import BadImages
from sslkit.errors import RunError
from sslkit.parts import Images, Preprocess
from tiny_run import TINY, tiny, write

TOO_MANY = r"\d+ images of the training data cannot be read, and train.max_bad_fraction allows"


def folder_of(root: Path, count: int = 12, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """Images of two classes, with the same names in every split."""
    draw = np.random.default_rng(0)
    for split in splits:
        for label in "ab":
            (root / split / label).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{index:02}.png")
    return root


def spoil(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes(b"")


def recipe(root: Path, *, start: bool = True, **train: Any) -> dict[str, Any]:
    return tiny(
        data={"name": "image_folder", "root": str(root)},
        train={**TINY["train"], "batch_size": 8, "epochs": 1, "log_every": 1, **train},  # type: ignore[dict-item]
        evaluate={"knn": {"k": [3], "at_start": start}} if start else {},
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "bad_images.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def places(run: Path) -> set[tuple[str, str]]:
    return {(row["split"], row["name"]) for row in rows(run)}


# --- whole runs ----------------------------------------------------------------------------------------------------


def test_an_evaluation_that_meets_training_images_first_hides_none(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    spoil(root, *(f"train/a/{index:02}.png" for index in range(6)))
    with pytest.raises(RunError, match=TOO_MANY):
        sslkit.fit(recipe(root), out=tmp_path / "run")
    assert {row["met"] for row in rows(tmp_path / "run")} == {"evaluation"}
    # and one in the middle of a run, of images that no step has seen yet
    with pytest.raises(RunError, match=TOO_MANY):
        sslkit.fit(recipe(root, start=False, epochs=2), out=tmp_path / "other")


def test_files_of_one_name_in_two_splits_are_two_and_evaluations_of_test_images_count_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = folder_of(tmp_path / "data", 9), tmp_path / "run"
    spoil(root, "train/a/00.png", "val/a/00.png", "val/a/01.png", "val/b/05.png")
    evaluate = {"knn": {"k": [3], "at_start": True}, "again": {"name": "knn", "k": [5]}, "spectrum": {}}
    sslkit.fit(recipe(root) | {"evaluate": evaluate}, out=run)  # one of the training images is always allowed
    expected = {("train", "a/00.png"), ("test", "a/00.png"), ("test", "a/01.png"), ("test", "b/05.png")}
    assert places(run) == expected
    assert len(rows(run)) == 4  # by several evaluators, nets and steps, once each
    for words in (
        ["embed", str(run), "--out", str(tmp_path / "f.npz")],
        ["eval", str(run), "--out", str(tmp_path / "e")],
    ):
        capsys.readouterr()
        assert main(words) == 0
        both = capsys.readouterr()
        said = " ".join((both.out + both.err).split())
        assert said.count("left out, unreadable") == 4
        assert "left out, unreadable: a/00.png of the train images (" in said
        assert "left out, unreadable: a/00.png of the test images (" in said


def test_a_folder_that_was_mended_as_the_message_says_goes_on(tmp_path: Path) -> None:
    root, run = folder_of(tmp_path / "data"), tmp_path / "run"
    names = [f"train/a/{index:02}.png" for index in range(6)]
    spoil(root, *names)
    for _ in range(2):  # also when it is continued with nothing mended
        with pytest.raises(RunError, match=TOO_MANY):
            sslkit.fit(recipe(root), out=run)
    for name in names[:-1]:
        (root / name).write_bytes((root / "train/b/00.png").read_bytes())
    assert sslkit.fit(recipe(root), out=run).summary["steps"] == 3
    assert len(rows(run)) == 6  # the log keeps what was met


def test_bad_images_of_other_evaluation_data_count_nothing(tmp_path: Path) -> None:
    root, other = folder_of(tmp_path / "data"), folder_of(tmp_path / "other")
    spoil(other, *(f"train/a/{index:02}.png" for index in range(6)))
    given = recipe(root) | {"eval_data": {"name": "image_folder", "root": str(other)}}
    sslkit.fit(given, out=tmp_path / "run")
    assert {split for split, _ in places(tmp_path / "run")} == {"eval_data/train"}
    # those of the training data count beside them, of the same names or not
    spoil(root, *(f"train/a/{index:02}.png" for index in range(4)))
    with pytest.raises(RunError, match=TOO_MANY):
        sslkit.fit(given, out=tmp_path / "again")


def test_images_that_are_shrunk_or_cached_are_the_same_ones(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    spoil(root, "train/a/03.png")
    for name, train in (("shrunk", {"short_side": 18}), ("cached", {"cache": str(tmp_path / "cache")})):
        sslkit.fit(recipe(root, **train), out=tmp_path / name)
        assert [(row["split"], row["index"], row["name"]) for row in rows(tmp_path / name)] == [
            ("train", "3", "a/03.png")
        ]


def test_two_ranks_count_together_and_re_read_what_is_listed(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    names = [f"train/{label}/{index:02}.png" for label in "ab" for index in range(3)]
    spoil(root, *names)
    file = write(tmp_path, recipe(root, start=False))

    def run(place: int) -> tuple[list[int], list[str]]:
        logs = [tmp_path / f"{place}-{rank}.txt" for rank in range(2)]
        words = ["fit", "--recipe", str(file), "--out", str(tmp_path / "run")]
        codes = [wait(process, 200) for process in fork_ranks(sslkit_main(*words), logs)]
        return codes, [log.read_text() for log in logs]

    codes, told = run(0)
    assert codes == [1, 1], told
    assert any("train.max_bad_fraction" in text for text in told)
    for name in names[:-1]:
        (root / name).write_bytes((root / "train/b/09.png").read_bytes())
    codes, told = run(1)
    assert codes == [0, 0], told


# --- the count alone -----------------------------------------------------------------------------------------------


class Files(Images):
    """Files that hold "good" or anything else."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Image.Image:
        if (self.folder / str(index)).read_text() != "good":
            raise OSError("not good")
        return Image.new("RGB", (4, 4))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    for index in range(20):
        (tmp_path / str(index)).write_text("good" if index > 5 else "bad")
    return Files(tmp_path, 20)


def bad(index: int, split: str = "") -> BadImage:
    return BadImage(index, str(index), "not good", split)


def test_a_continued_run_counts_what_it_had_counted_and_no_mended_image(files: Files, tmp_path: Path) -> None:
    first = BadImages(tmp_path / "bad.csv", 4)
    first.note([bad(0), bad(1), bad(2)], "training")
    first.note([bad(1, "train"), bad(3, "train"), bad(7, "test")], "evaluation")
    assert len(first) == 5
    # killed and continued: the fifth training image is one too many, as it would have been
    second = BadImages(tmp_path / "bad.csv", 4)
    second.take_up(files, Preprocess())
    second.note([bad(0)], "training")
    with pytest.raises(RunError, match="5 images of the training data cannot be read"):
        second.note([bad(4)], "training")
    with pytest.raises(RunError, match="5 images"):
        BadImages(tmp_path / "bad.csv", 4).take_up(files, Preprocess())
    for index in range(3):
        (tmp_path / str(index)).write_text("good")
    third = BadImages(tmp_path / "bad.csv", 4)
    third.take_up(files, Preprocess())
    third.note([bad(0), bad(1)], "training")  # broken again: counted again, and listed once
    with pytest.raises(RunError, match="5 images"):
        third.note([bad(5)], "training")
    assert len({row["index"] for row in csv.DictReader((tmp_path / "bad.csv").open())}) == 7


def test_lists_of_older_versions_are_read_and_go_on(files: Files, tmp_path: Path) -> None:
    for text, counted in [
        ("index,name,reason,met\n0,0,not good,training\n7,7,odd,evaluation\n", 1),
        ("index,name,reason\n0,0,not good\n", 0),
        ("split,index,name,reason,met\ntrain,0,0,not good,training\ntrain,1", 1),
    ]:
        (tmp_path / "bad.csv").write_text(text)
        there = BadImages(tmp_path / "bad.csv", counted)
        there.take_up(files, Preprocess())
        with pytest.raises(RunError, match=f"{counted + 1} images"):
            there.note([bad(2)], "training")
        found = list(csv.DictReader((tmp_path / "bad.csv").open()))
        assert {"split", "index", "name", "reason", "met"} == set(found[0])
        assert (found[-1]["split"], found[-1]["index"], found[-1]["met"]) == ("train", "2", "training")


def test_images_of_an_evaluator_are_told_apart_by_their_names(tmp_path: Path) -> None:
    log = BadImages(tmp_path / "bad.csv", 1)
    own = [BadImage(0, "voc/a.jpg", "cut"), BadImage(0, "davis/b.jpg", "cut"), BadImage(3, "voc/a.jpg", "empty")]
    log.note(own, "evaluation")
    assert [row["name"] for row in csv.DictReader((tmp_path / "bad.csv").open())] == ["voc/a.jpg", "davis/b.jpg"]
