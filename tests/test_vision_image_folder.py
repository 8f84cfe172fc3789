"""Folders of real image files: splits, labels, links and mistakes."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from sslkit.errors import UserError
from sslkit_vision.image_folder import ImageFolder
from sslkit_vision.imagenet import ImageNet


def save(path, color=(200, 30, 60), size=(6, 4), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)
    return path


def labelled(root, classes=("cat", "dog"), count=3):
    for name in classes:
        for index in range(count):
            save(root / name / f"{index}.png")


def names(images):
    return [images.name(index) for index in range(len(images))]


def test_a_flat_folder_is_all_train_without_labels(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.webp", "d.bmp", "e.tiff", "f.gif"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path / ".hidden.jpg")
    save(tmp_path / ".cache" / "x.jpg")
    data = ImageFolder(str(tmp_path))
    train = data.split("train")
    assert data.split("test") is None
    assert names(train) == ["a.PNG", "b.jpg", "c.webp", "d.bmp", "e.tiff", "f.gif"]
    assert train.classes is None
    assert train.label(0) is None
    assert {train.read(index).size for index in range(len(train))} == {(6, 4)}


def test_first_level_folders_are_labels_only_if_all_images_lie_in_two_or_more(tmp_path):
    labelled(tmp_path)
    save(tmp_path / "dog" / "puppies" / "9.jpg")
    train = ImageFolder(str(tmp_path)).split("train")
    assert train.classes == ("cat", "dog")
    assert [train.label(i) for i in range(len(train))] == [0, 0, 0, 1, 1, 1, 1]
    save(tmp_path / "loose.jpg")
    assert ImageFolder(str(tmp_path)).split("train").classes is None
    only_cats = ImageFolder(str(tmp_path / "cat")).split("train")
    assert (only_cats.classes, len(only_cats)) == (None, 3)


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_train_and_val_or_test_are_both_splits(tmp_path, held_out):
    labelled(tmp_path / "train", ("ant", "bee", "cow"))
    labelled(tmp_path / held_out, ("bee", "cow"), count=1)
    data = ImageFolder(str(tmp_path))
    test = data.split("test")
    assert test.classes == data.split("train").classes == ("ant", "bee", "cow")
    assert [test.label(i) for i in range(len(test))] == [1, 2]


def test_a_flat_test_split_has_no_labels_and_an_unknown_class_is_an_error(tmp_path):
    labelled(tmp_path / "train")
    save(tmp_path / "test" / "1.jpg")
    assert ImageFolder(str(tmp_path)).split("test").classes is None
    save(tmp_path / "val" / "cow" / "1.jpg")
    with pytest.raises(UserError, match="cow"):
        ImageFolder(str(tmp_path))


def test_the_test_fraction_is_kept_by_path_and_disjoint(tmp_path):
    labelled(tmp_path, count=40)
    data = ImageFolder(str(tmp_path), test_fraction=0.25)
    train, test = set(names(data.split("train"))), set(names(data.split("test")))
    assert len(train | test) == 80
    assert not train & test
    assert 8 <= len(test) <= 32
    assert data.split("test").classes == ("cat", "dog")
    save(tmp_path / "cat" / "another.png")
    again = ImageFolder(str(tmp_path), test_fraction=0.25)
    assert set(names(again.split("test"))) - {"cat/another.png"} == test


def test_images_pickle_and_read_the_same(tmp_path):
    labelled(tmp_path)
    train = ImageFolder(str(tmp_path)).split("train")
    copy = pickle.loads(pickle.dumps(train))
    assert names(copy) == names(train)
    assert copy.label(5) == 1
    assert np.array_equal(np.asarray(copy.read(5)), np.asarray(train.read(5)))
    with pytest.raises(IndexError):
        train.read(len(train))


def test_links_are_followed_without_loops_and_dead_ones_and_pipes_left_out(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    save(root / "a" / "1.jpg")
    save(elsewhere / "2.jpg")
    (root / "b").symlink_to(elsewhere)
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "a" / "3.jpg").symlink_to(elsewhere / "2.jpg")
    os.mkfifo(root / "a" / "pipe.jpg")
    assert names(ImageFolder(str(root)).split("train")) == ["a/1.jpg", "a/3.jpg", "b/2.jpg"]


def test_strange_file_names(tmp_path):
    save(tmp_path / "ü ñ 日本.png")
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    os.rename(save(tmp_path / "x.png"), raw)
    train = ImageFolder(str(tmp_path)).split("train")
    assert len(train) == 2
    for index in range(2):
        train.name(index).encode("utf-8")
        assert train.read(index).size == (6, 4)


def test_extensions_choose_the_files(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.jpg")
    assert names(ImageFolder(str(tmp_path), extensions=["JPG"]).split("train")) == ["b.jpg"]
    with pytest.raises(UserError, match=r"\.xyz"):
        ImageFolder(str(tmp_path), extensions=[".xyz"])


def test_arrays_are_images_unless_they_lie_beside_others(tmp_path):
    values = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.NPY.npy", np.moveaxis(values, 0, 2))
    train = ImageFolder(str(tmp_path)).split("train")
    assert names(train) == ["a.npy", "b.NPY.npy"]
    for index in range(2):
        assert train.read(index).tolist() == values.tolist()
    save(tmp_path / "preview.png")
    with pytest.raises(UserError, match=r"2 \.npy files beside 1 images .* name the types to take, as in \[\.npy\]"):
        ImageFolder(str(tmp_path))
    assert names(ImageFolder(str(tmp_path), extensions=["png"]).split("train")) == ["preview.png"]
    assert len(ImageFolder(str(tmp_path), extensions=["npy", "png"]).split("train")) == 3


def test_the_channel_axis_of_an_array_is_the_shorter_one_or_the_option(tmp_path):
    values = np.arange(4 * 5 * 4, dtype=np.uint8).reshape(4, 5, 4)
    np.save(tmp_path / "square.npy", values)
    with pytest.raises(
        ValueError, match=r"\[4, 5, 4\]: its channels may be the first axis or the last; say channel_axis"
    ):
        ImageFolder(str(tmp_path)).split("train").read(0)
    first, last = (ImageFolder(str(tmp_path), channel_axis=axis).split("train").read(0) for axis in ("first", "last"))
    assert first.tolist() == values.tolist()
    assert last.tolist() == np.moveaxis(values, 2, 0).tolist()


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_senseless_test_fraction_is_refused(tmp_path, fraction):
    with pytest.raises(UserError, match="test_fraction"):
        ImageFolder(str(tmp_path), test_fraction=fraction)


def test_a_test_fraction_beside_a_test_split_or_that_leaves_nothing_is_refused(tmp_path):
    labelled(tmp_path / "train")
    with pytest.raises(UserError, match="0 to test"):
        ImageFolder(str(tmp_path), test_fraction=1e-9)
    labelled(tmp_path / "val")
    with pytest.raises(UserError, match="of its own"):
        ImageFolder(str(tmp_path), test_fraction=0.5)


def test_wrong_folders_are_told_in_one_sentence(tmp_path):
    file = save(tmp_path / "file.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "texts" / "README").write_text("a")
    for root, hint in [
        (tmp_path / "missing", "no such folder"),
        (file, "that is a file"),
        (tmp_path / "empty", "no files at all"),
        (tmp_path / "texts", r"1 x \.txt.*expected files such as \.jpg"),
        ("", "no such folder"),
    ]:
        with pytest.raises(UserError, match=hint):
            ImageFolder(str(root))


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_without_permission_is_told(tmp_path):
    (tmp_path / "closed").mkdir()
    save(tmp_path / "closed" / "a.jpg")
    (tmp_path / "closed").chmod(0)
    for above in (tmp_path, *tmp_path.parents[:2]):  # whoever runs this, the closed folder is the one in the way
        above.chmod(0o755)
    root = os.geteuid() == 0  # root may read anything: be nobody for a moment
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="permission"):
            ImageFolder(str(tmp_path / "closed"))
    finally:
        if root:
            os.seteuid(0)
        (tmp_path / "closed").chmod(0o755)


def test_imagenet_says_what_is_expected_where(tmp_path):
    with pytest.raises(UserError, match=r"no such folder.*train/CLASS/\*\.JPEG and val/CLASS/\*\.JPEG"):
        ImageNet(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="no train/ and no val/"):
        ImageNet(str(tmp_path))
    labelled(tmp_path / "train", ("n01", "n02"))
    save(tmp_path / "val" / "loose.JPEG")
    with pytest.raises(UserError, match=r"test images .* class folders"):
        ImageNet(str(tmp_path))
    (tmp_path / "val" / "loose.JPEG").unlink()
    labelled(tmp_path / "val", ("n01", "n02"), count=1)
    data = ImageNet(str(tmp_path))
    assert (len(data.split("train")), len(data.split("test"))) == (6, 2)
    assert data.split("test").label(1) == 1


def test_a_class_without_images_is_refused_or_told(tmp_path, caplog):
    labelled(tmp_path / "train")
    labelled(tmp_path / "val")
    (tmp_path / "train/emu").mkdir()
    (tmp_path / "train/.cache").mkdir()
    with pytest.raises(UserError, match=r"train/emu holds no images, and the folders beside it are classes"):
        ImageFolder(str(tmp_path))
    assert ImageFolder(str(tmp_path / "train")).split("train").classes == ("cat", "dog")
    assert "emu holds no images and is no class" in caplog.text
    assert ".cache" not in caplog.text
