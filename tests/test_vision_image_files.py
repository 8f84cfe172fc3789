"""Opening image files: what they are is found out by whoever reads them, and nothing hangs."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from sslkit.data.reading import UnreadableImage, read_image
from sslkit.parts import open_image
from sslkit_vision.image_folder import FolderImages


def test_a_file_is_opened_undecoded_and_not_kept_open(tmp_path):
    Image.new("RGB", (8, 4), (1, 2, 3)).save(tmp_path / "x.png")
    before = len(os.listdir("/proc/self/fd"))
    images = [open_image(tmp_path / "x.png") for _ in range(5)]
    assert len(os.listdir("/proc/self/fd")) == before
    (tmp_path / "x.png").unlink()
    assert {image.size for image in images} == {(8, 4)}
    assert images[0].getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("kind", ["empty", "html", "truncated", "half png", "pipe", "dead link", "folder", "noise"])
def test_unreadable_files_are_told_by_their_path(tmp_path, kind):
    path = tmp_path / "x.jpg"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    if kind == "empty":
        path.touch()
    elif kind == "html":
        path.write_text("<html><body>404</body></html>")
    elif kind == "truncated":
        picture.save(path)
        path.write_bytes(path.read_bytes()[:-900])
    elif kind == "half png":
        picture.save(tmp_path / "whole.png")
        whole = (tmp_path / "whole.png").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dead link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4)
    with pytest.raises(UnreadableImage, match=r"^x\.jpg: \S") as caught:
        read_image(FolderImages(tmp_path, ["x.jpg"], None), 0, 3)
    assert "\n" not in str(caught.value)
