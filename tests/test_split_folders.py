"""Which folders of a data set are taken for its splits: as people name them, and as they nest them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.parts import Dataset, Images
from sslkit_vision.image_folder import ImageFolder
from sslkit_vision.imagenet import ImageNet
from tiny_run import tiny


def make(root: Path, *folders: str, count: int = 2) -> Path:
    """A few images in each of these folders."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.new("RGB", (32, 32), (number, index, 9)).save(root / folder / f"{index}.png")
    return root


def split(data: Dataset, which: str) -> Images:
    images = data.split(which)  # type: ignore[arg-type]
    assert images is not None
    return images


def sizes(data: Dataset) -> tuple[int, int]:
    test = data.split("test")
    return len(split(data, "train")), 0 if test is None else len(test)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "valid"), ("train", "validation"), ("train", "Val"), ("Training", "Testing"), ("TRAIN", "TEST"),
        ("Train", "dev"), ("train", "eval"), ("training", "test"), ("training_set", "test_set"),
        ("train2017", "val2017"), ("images_train", "images_val"), ("Train-Images", "Validation images"),
        ("trainset", "testset"), ("train", "test1"),
    ],
)  # fmt: skip
def test_the_usual_spellings_are_splits(tmp_path: Path, train: str, test: str) -> None:
    make(tmp_path, f"{train}/cat", f"{train}/dog", f"{test}/cat", f"{test}/dog")
    data = ImageFolder(str(tmp_path))
    assert sizes(data) == (4, 4)
    assert split(data, "train").classes == split(data, "test").classes == ("cat", "dog")
    with pytest.raises(UserError, match=f"test split of its own, {test}/"):
        ImageFolder(str(tmp_path), test_fraction=0.5)
    assert split(ImageFolder(str(tmp_path), split_folders=False), "train").classes == tuple(sorted((train, test)))


def test_spellings_that_are_guessed_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ImageFolder(str(make(tmp_path / "plain", "Training", "Valid")))
    assert not caplog.messages
    ImageFolder(str(make(tmp_path / "guessed", "training_set", "test_set")))
    assert "training_set/ is taken for the training split and test_set/ for the test split" in caplog.text


def test_of_two_test_splits_the_validation_split_is_taken_and_the_other_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "train", "val", "test", "unlabeled", "annotations")
    make(tmp_path / "val", ".", count=3)
    (tmp_path / "annotations" / "0.png").unlink()
    (tmp_path / "annotations" / "1.png").rename(tmp_path / "annotations" / "1.json")
    assert sizes(ImageFolder(str(tmp_path))) == (2, 3)
    assert caplog.text.count("left out: test/, unlabeled/") == 1
    # an empty folder does not stand in the way of a full one
    for file in (tmp_path / "val").iterdir():
        file.unlink()
    assert sizes(ImageFolder(str(tmp_path))) == (2, 2)


@pytest.mark.parametrize("layout", ["flat", "classes", "train alone"])
def test_a_test_fraction_works_in_every_layout_without_a_test_split(tmp_path: Path, layout: str) -> None:
    folders = {"flat": ["."], "classes": ["cat", "dog"], "train alone": ["Train/cat", "Train/dog"]}[layout]
    make(tmp_path, *folders, count=40)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 1 1")
    whole, parted = ImageFolder(str(tmp_path)), ImageFolder(str(tmp_path), test_fraction=0.25)
    assert sizes(whole) == (40 * len(folders), 0)
    assert sum(sizes(parted)) == sizes(whole)[0]
    assert sizes(parted)[1] >= 4
    classes = None if layout == "flat" else ("cat", "dog")
    assert split(whole, "train").classes == split(parted, "test").classes == classes


@pytest.mark.parametrize("nest", ["images", "data/images"])
def test_splits_below_the_only_folder_of_images_are_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, nest: str
) -> None:
    make(tmp_path, f"{nest}/train/cat", f"{nest}/train/dog", f"{nest}/val/cat")
    data = ImageFolder(str(tmp_path))
    assert (sizes(data), split(data, "train").classes) == ((4, 2), ("cat", "dog"))
    assert f"its splits are those of {nest}/" in caplog.text


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["train", "Train"], "which one is the training split"),
        (["train/cat", "train/dog", "others/cat"], "train/ beside others/: name the test split"),
        (["val", "test"], "val/, test/, and no train/"),
        (["cat", "dog", "test/cat", "test/dog"], "test/, and no train/"),
        (["birds-train", "birds-test"], "birds-train/ and birds-test/, which look like splits"),
        (["birdtrain", "birdval"], "birdtrain/ and birdval/, which look like splits"),
        (["TestBirds", "TrainBirds"], "TrainBirds/ and TestBirds/, which look like splits"),
        (["images/train", "images/val", "masks/train", "masks/val"], "splits below images/, masks/"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "splits below cat/, dog/"),
        (["images/train", "images/val", "previews"], "splits below images/, beside other images"),
    ],
)
def test_what_cannot_be_understood_is_refused_unless_it_is_said_to_be_classes(
    tmp_path: Path, folders: list[str], said: str
) -> None:
    make(tmp_path, *folders)
    with pytest.raises(UserError, match=said):
        ImageFolder(str(tmp_path))
    classes = tuple(sorted({folder.partition("/")[0] for folder in folders}))
    assert split(ImageFolder(str(tmp_path), split_folders=False), "train").classes == classes


def test_a_class_that_is_called_like_a_split_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Trains are vehicles too."""
    make(tmp_path / "vehicles", "bus", "car", "train")
    assert split(ImageFolder(str(tmp_path / "vehicles")), "train").classes == ("bus", "car", "train")
    assert "train/ is taken for a class, as are the folders beside it: bus/, car/" in caplog.text
    make(tmp_path / "parts", "good", "test")
    assert split(ImageFolder(str(tmp_path / "parts")), "train").classes == ("good", "test")
    assert "test/ is taken for a class" in caplog.text
    make(tmp_path / "mixed", ".", "test")
    assert sizes(ImageFolder(str(tmp_path / "mixed"))) == (4, 0)
    assert "there is no train/: the images of test/ are trained on too" in caplog.text
    caplog.clear()
    make(tmp_path / "kinds", "bullet train", "steam", "strain", "protest", "interval")
    ImageFolder(str(tmp_path / "kinds"))
    assert not caplog.messages


def test_classes_in_a_folder_of_their_own_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "pets/cat", "pets/dog")
    assert split(ImageFolder(str(tmp_path)), "train").classes is None
    assert f"no labels, since all images lie in pets/; set root to {tmp_path / 'pets'}" in caplog.text


def test_imagenet_knows_other_spellings_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "Train/n01", "Train/n02", "validation/n01", "validation/n02", "test")
    assert sizes(ImageNet(str(tmp_path))) == (4, 4)
    assert "left out: test/" in caplog.text
    with pytest.raises(UserError, match="take the data set image_folder with split_folders false"):
        ImageNet(str(make(tmp_path / "without", "val/n01", "test/n01")))


def test_a_run_and_data_check_print_splits_classes_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "d", "train/a", "train/b", "valid/a", "valid/b", count=8)
    make(tmp_path / "d", "train/a", count=9)
    overrides = {"train.max_steps": 1, "train.batch_size": 4, "evaluate": None}
    sslkit.fit(tiny(data={"name": "image_folder", "root": "d"}), overrides, out=tmp_path / "r")
    said = capsys.readouterr().out
    assert "image_folder: 17 images to train on, 16 to test with; 2 classes" in said
    assert "train: 17 images in 2 classes (a 9, b 8)" in said
    assert "test: 16 images in 2 classes (a 8, b 8)" in said
    main(["data", "check", "d", "--train.workers", "0"])
    said = capsys.readouterr().out
    assert "train: 17 images in 2 classes (a 9, b 8)" in said
    assert "test: 16 images in 2 classes (a 8, b 8)" in said


def test_many_classes_are_summed_up(tmp_path: Path) -> None:
    from sslkit.report.splits import split_lines

    make(tmp_path, *(f"c{number:02}" for number in range(12)), "line\nend")
    make(tmp_path, "c03", count=5)
    lines = split_lines({"train": ImageFolder(str(tmp_path)).split("train"), "test": None})
    assert lines == ["train: 29 images in 13 classes (the largest c03 5, the smallest c00 2)"]
    few = split_lines({"train": ImageFolder(str(make(tmp_path / "few", "line\nend", "x"))).split("train")})
    assert few == [r"train: 4 images in 2 classes (line\nend 2, x 2)"]
