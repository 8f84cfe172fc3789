"""Reading odd, deep and damaged image files."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sslkit_vision.image_files import read_image


def test_deep_images_are_scaled_to_eight_bits(tmp_path):
    ramp = np.array([[0, 257 * 10, 257 * 128, 65535]], dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.mode == "L"
        assert np.asarray(image).tolist() == [[0, 10, 128, 255]]
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)).save(tmp_path / "f.tif")
    assert np.asarray(read_image(tmp_path / "f.tif")).tolist() == [[0, 128, 255, 0]]


@pytest.mark.parametrize(("mode", "suffix"), [
    ("P", ".png"), ("CMYK", ".jpg"), ("LA", ".png"), ("RGBA", ".png"), ("1", ".png"), ("L", ".jpg"), ("YCbCr", ".jpg"),
])  # fmt: skip
def test_every_mode_comes_out_as_gray_or_rgb_of_about_its_colour(tmp_path, mode, suffix):
    source = Image.new("RGB", (8, 8), (255, 255, 255))
    source.paste((0, 0, 0), (0, 0, 4, 8))
    source.convert(mode).save(tmp_path / f"x{suffix}")
    image = read_image(tmp_path / f"x{suffix}")
    assert image.mode in ("L", "RGB")
    np.testing.assert_allclose(np.asarray(image.convert("L")), np.asarray(source.convert("L")), atol=12)


def test_a_palette_with_transparency_reads_without_a_warning(tmp_path, recwarn):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "x.png", transparency=b"\x00\xff")
    assert read_image(tmp_path / "x.png").getpixel((0, 0)) == (10, 200, 30)
    assert not recwarn.list


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (8, 4)).save(tmp_path / "x.jpg", exif=exif)
    assert read_image(tmp_path / "x.jpg").size == (4, 8)


def bomb(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width // 8 + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["empty", "html", "truncated", "half png", "pipe", "dead link", "folder", "noise"])
def test_unreadable_files_are_an_oserror_with_their_path(tmp_path, kind):
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
    with pytest.raises(OSError, match=r"x\.jpg"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9500, 14000])
def test_decompression_bombs_are_refused(tmp_path, side):
    (tmp_path / "x.png").write_bytes(bomb(side, side))
    with pytest.raises(OSError, match="pixels"):
        read_image(tmp_path / "x.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_mutated_files_never_raise_anything_but_oserror(tmp_path):
    """Random damage to each format: pixels or OSError, nothing else."""
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    outcomes = {"read": 0, "refused": 0}
    for suffix in (".jpg", ".png", ".gif", ".bmp", ".tif", ".webp", ".tga", ".ppm", ".pcx"):
        picture.save(tmp_path / f"whole{suffix}")
        whole = bytearray((tmp_path / f"whole{suffix}").read_bytes())
        for _ in range(40):
            damaged = bytearray(whole)
            for place in generator.integers(0, len(whole), 4):
                damaged[place] = generator.integers(256)
            path = tmp_path / f"damaged{suffix}"
            path.write_bytes(damaged)
            try:
                read_image(path)
                outcomes["read"] += 1
            except OSError:
                outcomes["refused"] += 1
    assert outcomes["refused"] > 20
    assert outcomes["read"] > 20
