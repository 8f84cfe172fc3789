"""Files that are left out for their type are counted and named, where they may be meant as images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit_vision.image_folder import ImageFolder
from tiny_run import tiny


def folder(root: Path, *names: str) -> Path:
    """Four JPEGs, and files of these names that hold a letter."""
    root.mkdir(parents=True, exist_ok=True)
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{index}.jpg")
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.heic", r"1 x \.heic \(read once pillow-heif is installed: pip install pillow-heif\)"),
        ("a.HEIF", r"1 x \.heif \(.*pip install pillow-heif\)"),
        ("a.jxl", r"1 x \.jxl \(.*pip install pillow-jxl-plugin\)"),
        ("a.CR2", r"1 x \.cr2 \(raw files of a camera: convert them"),
        ("deep/er/a.NEF", r"1 x \.nef \(raw files of a camera"),
        ("a.mp4", r"1 x \.mp4 \(videos: write their frames to files"),
        ("a.svg", r"1 x \.svg \(drawings"),
        ("a.jpg_large", r"1 x \.jpg_large"),
        ("a.dir/0001", r"1 x without an extension"),
    ],
)
def test_files_that_may_be_images_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, said: str
) -> None:
    root = folder(tmp_path / "d", name)
    caplog.clear()
    ImageFolder(str(root))
    assert re.search(f"{root}: files left out for their type: {said}", caplog.text)


def test_what_lies_beside_images_as_a_rule_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a.txt", "b.CSV", "c.json", "d.xml", "Thumbs.db", ".DS_Store", "desktop.ini", "README", "LICENSE", "e.zip"]
    ImageFolder(str(folder(tmp_path / "d", *names, ".hidden.heic")))
    assert not caplog.messages


def test_what_nobody_chose_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ImageFolder(str(folder(tmp_path / "d", "a.heic")), extensions=["jpg"])
    assert not caplog.messages


def test_every_split_is_looked_at_and_a_remembered_listing_knows_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder(tmp_path / "d" / "train", "a.heic", "b.heic")
    folder(tmp_path / "d" / "val", "a.arw")
    for _ in range(2):
        caplog.clear()
        ImageFolder(str(tmp_path / "d"), listing=str(tmp_path / "listing"))
        assert len(caplog.messages) == 2
        assert "train: files left out for their type: 2 x .heic" in caplog.messages[0]
        assert "val: files left out for their type: 1 x .arw" in caplog.messages[1]


def test_a_folder_of_nothing_else_says_what_helps(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_text("x")
    with pytest.raises(UserError, match=r"holds no images: found 1 x \.heic; .*pip install pillow-heif"):
        ImageFolder(str(tmp_path))
    with pytest.raises(UserError, match=r"Pillow reads no \.heic \(read once pillow-heif is installed"):
        ImageFolder(str(tmp_path), extensions=["heic"])


def test_fit_warns_and_data_check_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "d", *(f"{index}.heic" for index in range(20)))
    assert main(["data", "check", "d", "--train.workers", "0"]) == 0
    printed = capsys.readouterr()
    assert "warning: " in printed.out
    assert "20 x .heic (read once pillow-heif is installed" in printed.out
    assert printed.out.count(".heic") + printed.err.count(".heic") == 1
    assert "20 x .heic" in json.loads(Path("data_check/check.json").read_text())["warnings"][0]
    overrides = {"train.max_steps": 1, "train.batch_size": 4, "evaluate": None}
    sslkit.fit(tiny(data={"name": "image_folder", "root": "d"}), overrides, out=tmp_path / "r")
    assert "WARNING: " in (complained := capsys.readouterr().err)
    assert "20 x .heic" in complained
    assert "20 x .heic" in (tmp_path / "r" / "log.txt").read_text()


def test_a_pillow_plugin_that_is_installed_is_used(tmp_path: Path) -> None:
    """A package of the same name that teaches Pillow .heic stands for pillow-heif, in a process of its own."""
    package = tmp_path / "site" / "pillow_heif"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "HeifImagePlugin.py").write_text(
        "from PIL import Image\n"
        "from PIL.PngImagePlugin import PngImageFile\n"
        "class Heif(PngImageFile):\n    format = 'HEIF'\n"
        "Image.register_open('HEIF', Heif, lambda start: start[:4] == b'\\x89PNG')\n"
        "Image.register_extension('HEIF', '.heic')\n"
    )
    folder(tmp_path / "d")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "d" / "a.heic")
    code = (
        "import sys, pickle; from sslkit_vision.image_folder import ImageFolder;"
        "images = ImageFolder(sys.argv[1]).split('train');"
        "print(len(images), pickle.loads(pickle.dumps(images)).read(4).size)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code, str(tmp_path / "d")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("5 (8, 8)", "")
