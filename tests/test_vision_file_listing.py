"""Listing folders: the order of the files, links, and what a listing file remembers."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sslkit.errors import UserError
from sslkit_vision import file_listing
from sslkit_vision.file_listing import Listing
from sslkit_vision.image_folder import ImageFolder
from sslkit_vision.imagenet import ImageNet

#: Characters on both sides of "/" in the alphabet, and one that is no UTF-8.
_NAMES = st.text("ab-.0/ é\udcff", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(_NAMES, max_size=25))
def test_files_come_sorted_by_their_whole_path(paths):
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            _touch(Path(folder, *(part for part in path.split("/") if part not in ("", ".", ".."))))
        found = Listing().find(Path(folder))
        wanted = [os.path.relpath(Path(top, name), folder) for top, _, names in os.walk(folder) for name in names]
        assert found == sorted(path for path in wanted if not any(part[0] == "." for part in path.split("/")))


def _touch(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        pass  # the same name twice, once as a folder


def tree(root, age=3600):
    """Three folders of two pictures each, made some time ago."""
    for name in ("cat", "dog", "eel"):
        (root / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (6, 4), (index, 90, 30)).save(root / name / f"{index}.png")
    aged(root, age)
    return root


def aged(root, age=3600):
    then = time.time() - age
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.utime(folder, (then, then))


@pytest.fixture
def asked(monkeypatch):
    """Names of the folders that the disk was asked about, in order."""
    found, scandir = [], os.scandir
    monkeypatch.setattr(file_listing.os, "scandir", lambda folder: found.append(folder.name) or scandir(folder))
    return found


def test_folders_that_did_not_change_are_not_listed_again(tmp_path, asked):
    root, file = tree(tmp_path / "images"), tmp_path / "notes" / "listing.json"

    def listed():
        asked.clear()
        listing = Listing(file)
        found = listing.find(root)
        listing.keep()
        return found

    first = listed()
    assert first == [f"{name}/{index}.png" for name in ("cat", "dog", "eel") for index in range(2)]
    assert asked == ["images", "cat", "dog", "eel"]
    written = file.stat().st_mtime_ns
    assert listed() == first
    assert asked == []
    assert file.stat().st_mtime_ns == written
    # one that is added, one that is taken away, one that is renamed
    (root / "dog" / "9.png").touch()
    assert listed() == sorted([*first, "dog/9.png"])
    assert asked == ["dog"]
    (root / "eel" / "0.png").unlink()
    (root / "cat").rename(root / "cow")
    now = listed()
    assert now == ["cow/0.png", "cow/1.png", "dog/0.png", "dog/1.png", "dog/9.png", "eel/1.png"]
    aged(root)
    assert listed() == listed() == now
    assert asked == []


def test_a_folder_that_has_just_changed_is_not_remembered_yet(tmp_path, asked):
    root, file = tree(tmp_path / "images"), tmp_path / "listing.json"
    aged(root / "dog", age=5)
    aged(root / "eel", age=-3600)  # another machine's clock
    for _ in range(2):
        asked.clear()
        listing = Listing(file)
        listing.find(root)
        listing.keep()
    assert asked == ["dog", "eel"]


def test_a_folder_of_the_same_time_that_is_another_one_is_listed(tmp_path):
    root, file = tree(tmp_path / "images"), tmp_path / "listing.json"
    listing = Listing(file)
    before = listing.find(root)
    listing.keep()
    root.rename(tmp_path / "old")
    tree(root)
    (root / "cat" / "new.png").touch()
    stamp = (tmp_path / "old" / "cat").stat()
    os.utime(root / "cat", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert set(Listing(file).find(root)) - set(before) == {"cat/new.png"}


def test_data_sets_take_a_listing(tmp_path, asked):
    tree(tmp_path / "images" / "train")
    tree(tmp_path / "images" / "val")
    aged(tmp_path / "images")
    file = tmp_path / "listing.json"
    plain = ImageFolder(str(tmp_path / "images"))
    for data_set in (ImageFolder, ImageFolder, ImageNet):
        asked.clear()
        data = data_set(str(tmp_path / "images"), listing=str(file))
        for which in ("train", "test"):
            images, wanted = data.split(which), plain.split(which)
            assert [images.name(i) for i in range(len(images))] == [wanted.name(i) for i in range(len(wanted))]
            assert [images.label(i) for i in range(len(images))] == [0, 0, 1, 1, 2, 2]
        assert data.split("train").read(5).getpixel((0, 0)) == (1, 90, 30)
    assert asked == ["train"]  # for folders without images, of one level


def test_names_that_are_no_text_are_remembered(tmp_path):
    root, file = tmp_path / "images", tmp_path / "listing.json"
    root.mkdir()
    for name in ("ä.png", os.fsdecode(b"\xff.png"), 'quo"te.png', "new\nline.png"):
        (root / name).touch()
    aged(root)
    listing = Listing(file)
    found = listing.find(root)
    listing.keep()
    assert Listing(file).find(root) == found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a diary", "holds something else: name another file, or delete it"),
        ("[1, 2]", "holds something else"),
        ('{"sslkit listing": 1, "folders": {"/x": [1, 2]}}', "holds something else"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_no_listing_is_left_alone(tmp_path, content, said):
    file = tmp_path / "listing"
    file.mkdir() if content is None else file.write_text(content)
    with pytest.raises(UserError, match=f"listing is '{file}', which {said}"):
        ImageFolder(str(tree(tmp_path / "images")), listing=str(file))
    assert content is None or file.read_text() == content


def test_a_listing_of_another_version_is_written_anew(tmp_path):
    root, file = tree(tmp_path / "images"), tmp_path / "listing"
    file.write_text('{"sslkit listing": 0, "tree": []}')
    ImageFolder(str(root), listing=str(file))
    assert len(json.loads(file.read_text())["folders"]) == 4


def test_a_listing_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "taken").touch()
    root = tree(tmp_path / "images")
    with pytest.raises(UserError, match="which cannot be (read|written): Not a directory"):
        ImageFolder(str(root), listing=str(tmp_path / "taken" / "listing"))


def test_what_a_remembered_link_led_to_is_gone(tmp_path):
    root, file = tree(tmp_path / "images"), tmp_path / "listing"
    tree(tmp_path / "elsewhere")
    (root / "fox").symlink_to(tmp_path / "elsewhere")
    aged(root)
    listing = Listing(file)
    assert len(listing.find(root)) == 12
    listing.keep()
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"fox: this folder cannot be listed: No such file.*; .*delete that file"):
        Listing(file).find(root)
