"""Listing folders: the order of the files, links, and what a listing file remembers."""

from __future__ import annotations

import errno
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


def tree(root):
    """Three folders of two pictures each."""
    for name in ("cat", "dog", "eel"):
        (root / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (6, 4), (index, 90, 30)).save(root / name / f"{index}.png")
    return root


@pytest.fixture
def settled(monkeypatch):
    """Every folder counts as unchanged for long."""
    monkeypatch.setattr(file_listing, "_SETTLED", -3600)


@pytest.fixture
def asked(monkeypatch):
    """Names of the folders that the disk was asked about, in order."""
    found, scandir = [], os.scandir
    monkeypatch.setattr(file_listing.os, "scandir", lambda folder: found.append(folder.name) or scandir(folder))
    return found


def test_a_folder_is_listed_once_by_whoever_looks_at_it_first(tmp_path, asked):
    root = tree(tmp_path / "images")
    listing = Listing()
    assert listing.look(root) == ([], ["cat", "dog", "eel"])
    assert len(listing.find(root)) == 6
    assert sorted(asked) == ["cat", "dog", "eel", "images"]


@pytest.mark.usefixtures("settled")
def test_folders_that_did_not_change_are_not_listed_again(tmp_path, asked):
    root, file = tree(tmp_path / "images"), tmp_path / "notes" / "listing.json"

    def listed():
        asked.clear()
        return Listing(file).find(root)

    first = listed()
    assert first == [f"{name}/{index}.png" for name in ("cat", "dog", "eel") for index in range(2)]
    assert asked == ["images", "cat", "dog", "eel"]
    written = file.stat().st_mtime_ns
    assert listed() == first
    assert asked == []
    assert file.stat().st_mtime_ns == written
    time.sleep(0.05)  # what a disk may count as the same time
    # one that is added where the folder's time is put back, as archives do it
    before = (root / "dog").stat()
    (root / "dog" / "9.png").touch()
    os.utime(root / "dog", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert listed() == sorted([*first, "dog/9.png"])
    assert asked == ["dog"]
    # one that is taken away, one that is renamed
    (root / "eel" / "0.png").unlink()
    (root / "cat").rename(root / "cow")
    now = listed()
    assert now == ["cow/0.png", "cow/1.png", "dog/0.png", "dog/1.png", "dog/9.png", "eel/1.png"]
    assert listed() == now
    assert asked == []


def test_a_folder_that_has_just_changed_is_not_remembered_yet(tmp_path, asked):
    root, file = tree(tmp_path / "images"), tmp_path / "listing.json"
    for path in (root, root / "dog"):
        os.utime(path, (0, 0))
    for _ in range(2):
        asked.clear()
        Listing(file).find(root)
    assert asked == ["images", "cat", "dog", "eel"]
    assert not file.exists()


@pytest.mark.usefixtures("settled")
def test_one_file_remembers_several_folders(tmp_path, asked):
    roots = [tree(tmp_path / name) for name in ("images", "images2")]
    file = tmp_path / "listing.json"
    for root in (*roots, *roots):
        asked.clear()
        Listing(file).find(root)
    assert asked == []
    # and forgets what is no longer there
    time.sleep(0.05)
    (roots[0] / "cat").rename(tmp_path / "moved")
    Listing(file).find(roots[0])
    assert str(roots[0] / "cat") not in json.loads(file.read_text())["folders"]
    assert len(json.loads(file.read_text())["folders"]) == 7


def test_another_machine_s_number_of_the_disk_does_not_matter(tmp_path):
    root = tree(tmp_path / "images")
    inode = root.stat().st_ino
    assert Listing()._entries(root)[0].changed == (root.stat().st_ctime_ns, inode)


@pytest.mark.usefixtures("settled")
def test_data_sets_take_a_listing(tmp_path, asked):
    tree(tmp_path / "images" / "train")
    tree(tmp_path / "images" / "val")
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
    assert asked == ["images", "train"]  # whether it may be listed; folders without images, of one level


@pytest.mark.usefixtures("settled")
def test_names_that_are_no_text_are_remembered(tmp_path):
    root, file = tmp_path / "images", tmp_path / "listing.json"
    root.mkdir()
    for name in ("ä.png", os.fsdecode(b"\xff.png"), 'quo"te.png', "new\nline.png"):
        (root / name).touch()
    found = Listing(file).find(root)
    assert Listing(file).find(root) == found
    assert len(found) == 4
    assert len(json.loads(file.read_text())["folders"]) == 1


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


@pytest.mark.usefixtures("settled")
def test_a_listing_of_another_version_is_written_anew(tmp_path):
    root, file = tree(tmp_path / "images"), tmp_path / "listing"
    file.write_text('{"sslkit listing": 0, "tree": []}')
    ImageFolder(str(root), listing=str(file))
    assert len(json.loads(file.read_text())["folders"]) == 4


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ("taken/listing", "which cannot be (read|written): Not a directory"),
        ("images/cat/listing", "which lies in what is listed: name a file outside of .*images"),
        ("~nobody-of-that-name/listing", "there is no user 'nobody-of-that-name'"),
        ("", "name a file, or null"),
    ],
)
def test_a_listing_that_cannot_be_is_one_sentence(tmp_path, monkeypatch, listing, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    root = tree(tmp_path / "images")
    with pytest.raises(UserError, match=f"listing is '.*', {said}|listing is '.*': {said}"):
        ImageFolder(str(root), listing=listing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "taken"]


def test_a_root_of_nobody_s():
    with pytest.raises(UserError, match="root is '~nobody-of-that-name/x': there is no user 'nobody-of-that-name'"):
        ImageFolder("~nobody-of-that-name/x")


@pytest.mark.usefixtures("settled")
def test_a_full_disk_leaves_no_half_a_listing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="which cannot be written: No space left on device"):
        ImageFolder(str(tree(tmp_path / "images")), listing=str(tmp_path / "listing"))
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.usefixtures("settled")
def test_what_a_remembered_link_led_to_is_gone(tmp_path):
    root, file = tree(tmp_path / "images"), tmp_path / "listing"
    tree(tmp_path / "elsewhere")
    (root / "fox").symlink_to(tmp_path / "elsewhere")
    assert len(Listing(file).find(root)) == 12
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"fox: this folder cannot be listed: No such file.*; .*delete that file"):
        Listing(file).find(root)


def test_links_that_lead_to_themselves_are_dead_ones(tmp_path):
    root = tree(tmp_path / "images")
    (root / "dog" / "x.png").symlink_to("x.png")
    (root / "dog" / "all").symlink_to(root)
    assert Listing().find(root) == [f"{name}/{index}.png" for name in ("cat", "dog", "eel") for index in range(2)]


def test_classes_are_numbered_by_their_names(tmp_path):
    for name in ("cat", "cat-wild", "cat wild", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (6, 4)).save(tmp_path / name / "0.png")
    images = ImageFolder(str(tmp_path)).split("train")
    assert images.classes == ("cat", "cat wild", "cat-wild", "dog")
    for index in range(4):
        assert images.classes[images.label(index)] == images.name(index).partition("/")[0]
