"""Decoded images kept in one file: the same run, made once, whole or made anew."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sslkit
from sslkit.data.reading import read_image
from sslkit.engine.cache import cached
from sslkit.errors import UserError
from sslkit.parts.bands import Bands
from sslkit_vision.image_folder import ImageFolder
from tiny_run import TINY_VIT, environment, final_weights


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten JPEGs of several sizes, one of them broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        draw = np.random.default_rng(number)
        pixels = draw.integers(0, 256, (30 + 3 * number, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    (folder / "7.jpg").write_bytes(b"no image")
    return folder


def images(folder: Path) -> Any:
    return ImageFolder(str(folder)).split("train")


def arrays(source: Any, channels: int = 3) -> list[np.ndarray]:
    return [np.asarray(read_image(source, index, channels)) for index in range(10) if index != 7]


@pytest.mark.parametrize("workers", [0, 2])
def test_it_gives_the_same_pixels_labels_and_names(photos: Path, tmp_path: Path, workers: int) -> None:
    source = images(photos)
    kept = pickle.loads(pickle.dumps(cached(source, tmp_path / "cache", 512, 3, workers)))
    assert all(np.array_equal(a, b) for a, b in zip(arrays(source), arrays(kept), strict=True))
    assert [kept.name(index) for index in range(10)] == [source.name(index) for index in range(10)]
    with pytest.raises(OSError, match="not an image"):
        read_image(kept, 7, 3)
    # the pixels come from the cache: the files may be gone
    shutil.move(photos, tmp_path / "elsewhere")
    assert np.asarray(read_image(kept, 3, 3)).shape == (39, 40, 3)


def test_grey_images_and_bands(photos: Path, tmp_path: Path) -> None:
    grey = cached(images(photos), tmp_path / "grey", 512, 1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(images(photos), 1), arrays(grey, 1), strict=True))
    values = np.random.default_rng(0).integers(0, 256, (5, 20, 30), dtype=np.uint8)
    (tmp_path / "bands").mkdir()
    np.save(tmp_path / "bands/one.npy", values)
    kept = cached(images(tmp_path / "bands"), tmp_path / "b", 512, 5, 0)
    found = read_image(kept, 0, 5)
    assert isinstance(found, Bands)
    assert np.array_equal(found.array(), values)


def test_large_images_are_shrunk(photos: Path, tmp_path: Path) -> None:
    kept = cached(images(photos), tmp_path / "cache", 20, 3, 0)
    assert [min(read_image(kept, index, 3).size) for index in (0, 5, 9)] == [20, 20, 20]
    assert read_image(kept, 0, 3).size == (27, 20)


def test_it_is_made_once_and_anew_where_something_changed(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cached(images(photos), folder, 512, 3, 0)
    made = (folder / "pixels.bin").stat().st_mtime_ns
    cached(images(photos), folder, 512, 3, 0)
    assert (folder / "pixels.bin").stat().st_mtime_ns == made
    Image.new("RGB", (40, 30), "red").save(photos / "0.jpg")
    kept = cached(images(photos), folder, 512, 3, 0)
    assert np.asarray(read_image(kept, 0, 3))[0, 0].tolist() == [254, 0, 0]
    # a kill while it was made
    (folder / "cache.json").unlink()
    (folder / "pixels.bin").write_bytes(b"half")
    assert all(
        np.array_equal(a, b)
        for a, b in zip(arrays(images(photos)), arrays(cached(images(photos), folder, 512, 3, 0)), strict=True)
    )


def test_a_cache_of_other_images_is_left_alone(photos: Path, tmp_path: Path) -> None:
    cached(images(photos), tmp_path / "cache", 512, 3, 0)
    (photos / "new.jpg").write_bytes((photos / "0.jpg").read_bytes())
    with pytest.raises(UserError, match=r"train.cache: .*cache is a cache of 10 other images: name another folder"):
        cached(images(photos), tmp_path / "cache", 512, 3, 0)


def test_a_disk_that_is_full_is_told(photos: Path, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; from sslkit.engine.cache import cached;"
        "from sslkit.errors import UserError; from sslkit_vision.image_folder import ImageFolder;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));\n"
        "try: cached(ImageFolder(sys.argv[1]).split('train'), Path(sys.argv[2]), 512, 3, 0)\n"
        "except UserError as error: print(error)"
    )
    words = [sys.executable, "-c", script, str(photos), str(tmp_path / "cache")]
    said = subprocess.run(words, capture_output=True, text=True, env=environment(), check=True).stdout
    assert "cannot be written: File too large" in said
    assert "a smaller train.cache_side, or another disk" in said
    assert not (tmp_path / "cache/pixels.bin").exists()


def test_a_run_from_a_cache_is_the_same_run(photos: Path, tmp_path: Path) -> None:
    train = {**TINY_VIT["train"], "epochs": 1, "workers": 0, "max_bad_fraction": 1.0}  # type: ignore[dict-item]
    base = TINY_VIT | {"data": {"name": "image_folder", "root": str(photos)}}
    runs = {}
    for name, cache in (("plain", None), ("kept", str(tmp_path / "cache")), ("again", str(tmp_path / "cache"))):
        sslkit.fit(base | {"train": train | {"cache": cache}}, out=tmp_path / name)
        runs[name] = final_weights(tmp_path / name)
    for name in ("kept", "again"):
        assert all(torch.equal(runs["plain"][key], runs[name][key]) for key in runs["plain"])
    assert json.loads((tmp_path / "cache/cache.json").read_text())["images"] == 10


def test_two_processes_make_it_once(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from sslkit.engine.cache import cached;"
        "from sslkit_vision.image_folder import ImageFolder;"
        "kept = cached(ImageFolder(sys.argv[1]).split('train'), Path(sys.argv[2]), 512, 3, 0);"
        "print(Path(sys.argv[2], 'pixels.bin').stat().st_ino, sum(kept.read(i).size[0] for i in range(7)))"
    )
    words = [sys.executable, "-c", script, str(photos), str(tmp_path / "cache")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(3)]
    said = [process.communicate()[0] for process in running]
    assert len(set(said)) == 1
    assert said[0].strip()
