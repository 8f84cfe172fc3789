"""Data sets that are not folders of images."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslkit.errors import UserError
from sslkit_vision import clipart
from sslkit_vision.cifar import Cifar10, Cifar100
from sslkit_vision.clipart import Clipart
from sslkit_vision.digits import Digits
from sslkit_vision.fashion_mnist import FashionMNIST
from sslkit_vision.synthetic import Synthetic

FIRST_TEST_LABELS = [4, 6, 0, 5, 6, 3, 9, 5, 9, 3, 1, 0]
TEST_PIXELS = "786a443b6e82b239"


def pixels(images):
    return np.stack([np.asarray(images.read(index)) for index in range(len(images))])


def labels(images):
    return np.array([images.label(index) for index in range(len(images))])


def test_digits_are_scikit_learns_split_in_two_without_overlap():
    from sklearn.datasets import load_digits

    data = Digits()
    train, test = data.split("train"), data.split("test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.classes == tuple("0123456789")
    assert np.ptp(np.bincount(labels(test))) <= 2
    ours = np.concatenate([pixels(train), pixels(test)]).reshape(1797, 64)
    theirs = np.rint(load_digits().data * 255 / 16).astype(np.uint8)
    ours = np.column_stack([ours, np.concatenate([labels(train), labels(test)])])
    theirs = np.column_stack([theirs, load_digits().target])
    assert sorted(map(bytes, ours.astype(np.uint8))) == sorted(map(bytes, theirs.astype(np.uint8)))
    assert (train.read(0).mode, train.read(0).size) == ("L", (8, 8))


def test_the_split_of_digits_is_fixed_for_ever():
    test = Digits().split("test")
    assert labels(test)[:12].tolist() == FIRST_TEST_LABELS
    assert hashlib.sha256(pixels(test).tobytes()).hexdigest()[:16] == TEST_PIXELS


def test_digits_import_neither_scikit_learn_nor_torch():
    code = (
        "import sys; from sslkit_vision.digits import Digits; Digits();"
        "print('sklearn' in sys.modules, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


@pytest.fixture
def clothes(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": generator.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": generator.integers(0, 10, 12, dtype=np.uint8),
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": generator.integers(0, 10, 5, dtype=np.uint8),
    }
    for number, (name, array) in enumerate(arrays.items()):
        if number % 2:
            (tmp_path / name).write_bytes(idx(array))
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path, arrays


def test_fashion_mnist_reads_plain_and_packed_idx_files(clothes):
    root, arrays = clothes
    data = FashionMNIST(str(root))
    assert np.array_equal(pixels(data.split("train")), arrays["train-images-idx3-ubyte"])
    assert np.array_equal(labels(data.split("test")), arrays["t10k-labels-idx1-ubyte"])
    assert data.split("train").classes[9] == "Ankle boot"
    assert len(FashionMNIST(str(root), train_images=4).split("train")) == 4
    assert len(FashionMNIST(str(root), train_images=4).split("test")) == 5


def test_fashion_mnist_in_torchvisions_layout(clothes):
    root, _ = clothes
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in list(root.glob("*ubyte*")):
        file.rename(raw / file.name)
    assert len(FashionMNIST(str(root)).split("train")) == 12


def test_fashion_mnist_mistakes_are_told(clothes, tmp_path):
    root, arrays = clothes
    with pytest.raises(UserError, match="apt install dataset-fashion-mnist"):
        FashionMNIST(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="train_images"):
        FashionMNIST(str(root), train_images=0)
    (root / "train-labels-idx1-ubyte").write_bytes(idx(arrays["t10k-labels-idx1-ubyte"]))
    with pytest.raises(UserError, match="12 images, but 5 labels"):
        FashionMNIST(str(root))
    (root / "train-labels-idx1-ubyte").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not a complete IDX file"):
        FashionMNIST(str(root))
    packed = root / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-50])
    with pytest.raises(UserError, match="cannot be read"):
        FashionMNIST(str(root))


def write_batches(root, kind, count, label_key):
    """Small files in CIFAR's format; their MD5 sums, as torchvision lists them."""
    folder = root / kind.base_folder
    folder.mkdir()
    generator, lists = np.random.default_rng(0), {}
    for which in ("train_list", "test_list"):
        lists[which] = []
        for name, _ in getattr(kind, which):
            batch = {"data": generator.integers(0, 256, (4, 3072), dtype=np.uint8), label_key: [0, count - 1, 1, 2]}
            (folder / name).write_bytes(pickle.dumps(batch))
            lists[which].append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
    meta = {kind.meta["key"]: [f"class{number}" for number in range(count)]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(meta))
    lists["meta"] = {**kind.meta, "md5": hashlib.md5((folder / kind.meta["filename"]).read_bytes()).hexdigest()}
    return lists


@pytest.mark.parametrize(
    ("part", "count", "label_key", "train"), [(Cifar10, 10, "labels", 20), (Cifar100, 100, "fine_labels", 4)]
)
def test_cifar_reads_local_files(tmp_path, monkeypatch, part, count, label_key, train):
    from torchvision import datasets

    kind = {Cifar10: datasets.CIFAR10, Cifar100: datasets.CIFAR100}[part]
    for key, value in write_batches(tmp_path, kind, count, label_key).items():
        monkeypatch.setattr(kind, key, value)
    data = part(str(tmp_path))
    assert (len(data.split("train")), len(data.split("test"))) == (train, 4)
    assert labels(data.split("test")).tolist() == [0, count - 1, 1, 2]
    assert data.split("train").classes[1] == "class1"
    assert (data.split("train").read(0).mode, data.split("train").read(0).size) == ("RGB", (32, 32))


def test_cifar_says_what_is_expected_where(tmp_path):
    with pytest.raises(UserError, match=r"cifar-10-batches-py/.*cifar-10-python\.tar\.gz"):
        Cifar10(str(tmp_path))
    with pytest.raises(UserError, match="cifar-100-python/"):
        Cifar100(str(tmp_path))


def test_synthetic_images_depend_on_the_seed_alone():
    data, again, other = (Synthetic(8, 20, 3, seed=seed) for seed in (1, 1, 2))
    train = data.split("train")
    assert np.array_equal(pixels(train), pixels(again.split("train")))
    assert not np.array_equal(pixels(train), pixels(other.split("train")))
    assert (
        len({image.tobytes() for image in pixels(train)} | {image.tobytes() for image in pixels(data.split("test"))})
        == 11
    )
    assert labels(train).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert train.read(0).size == (20, 20)
    with pytest.raises(IndexError):
        train.read(8)


@pytest.mark.parametrize("options", [{"images": 0}, {"size": 0}, {"classes": 0}, {"seed": -1}])
def test_senseless_synthetic_options_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        Synthetic(**options)


CLIPART_CLASSES = (
    "animals", "flags", "food", "geography", "office", "patterns", "people", "recreation", "shapes", "signs", "tools",
    "transportation",
)  # fmt: skip


def thumbnails(images):
    """[N, 16 * 16 * 3] of 0..255."""
    small = [images.read(index).resize((16, 16), Image.Resampling.BOX) for index in range(len(images))]
    return np.stack([np.asarray(image, dtype=np.float64).ravel() for image in small])


def test_clipart_has_the_classes_and_counts_that_its_page_tells():
    data = Clipart()
    train, test = data.split("train"), data.split("test")
    assert train.classes == test.classes == CLIPART_CLASSES
    page = Path(clipart.__file__).with_name("clipart.md").read_text()
    told = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    counts = [np.bincount(labels(images), minlength=12) for images in (train, test)]
    assert told == [
        *((name, str(counts[0][label]), str(counts[1][label])) for label, name in enumerate(CLIPART_CLASSES)),
        ("all", f"{len(train):,}", f"{len(test):,}"),
    ]
    assert (train.read(0).mode, train.read(0).size) == ("RGB", (64, 64))
    assert train.name(0).split("/")[0] == train.classes[train.label(0)]


def test_no_test_image_of_clipart_is_a_copy_of_another_image():
    data = Clipart()
    train, test = thumbnails(data.split("train")), thumbnails(data.split("test"))
    for queries, others in ((test, train), (test, test)):
        distances = np.square(queries).sum(1)[:, None] + np.square(others).sum(1) - 2 * queries @ others.T
        if others is queries:
            np.fill_diagonal(distances, np.inf)
        assert (distances / train.shape[1]).min() >= 100


def test_clipart_is_on_white_and_not_blank():
    test = pixels(Clipart().split("test"))
    assert (test[:, 0] == 255).all()
    assert (test.min(axis=(1, 2, 3)) < 240).all()


def test_the_first_images_of_clipart_are_a_sample_of_its_classes():
    some = Clipart(train_images=200)
    assert len(some.split("train")) == 200
    assert np.bincount(labels(some.split("train")), minlength=12).min() > 0
    assert len(some.split("test")) == len(Clipart().split("test"))
    assert some.split("train").classes == CLIPART_CLASSES
    with pytest.raises(UserError, match="train_images"):
        Clipart(train_images=0)


def test_images_of_clipart_travel_without_their_pixels_and_hold_no_file_open():
    train = Clipart().split("train")
    before = set(os.listdir("/proc/self/fd"))
    train.read(5).load()
    assert set(os.listdir("/proc/self/fd")) == before
    assert len(pickle.dumps(train)) < 200_000
    assert train.stamp(5) == pickle.loads(pickle.dumps(train)).stamp(5) != train.stamp(6)


@pytest.mark.parametrize("make", [Digits, Synthetic, Clipart])
def test_images_pickle(make):
    train = make().split("train")
    copy = pickle.loads(pickle.dumps(train))
    assert np.array_equal(np.asarray(copy.read(3)), np.asarray(train.read(3)))
    assert (copy.label(3), copy.classes) == (train.label(3), train.classes)
