"""Integers and floats of any type in any format: scaled by one rule, or refused with the option that says how."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from number_files import fits, pgm, png, tiff
from sslkit.data.reading import UnreadableImage, read_image
from sslkit.parts import Bands, ImageFiles, Images, channels_first
from sslkit.parts.preprocess import Values
from sslkit_vision.image_folder import FolderImages

OPTION = "preprocess.value_range: [low, high] says which values become black and white"


def ramp(low: float, high: float, kind: str) -> np.ndarray:
    return np.linspace(low, high, 4096).reshape(64, 64).astype(kind)


def read(path: Path, channels: int = 1, value_range: tuple[float, float] | None = None) -> np.ndarray:
    images: Images = FolderImages(path.parent, [path.name], None) if path.suffix == ".npy" else ImageFiles([path])
    found = read_image(images, 0, channels, values=Values(value_range=value_range))
    return found.array() if isinstance(found, Bands) else np.asarray(found)


def refused(path: Path, channels: int = 1, value_range: tuple[float, float] | None = None) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(path, channels, value_range)
    return caught.value.bad.reason


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The rule, in plain float64."""
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def save(folder: Path, kind: str, values: np.ndarray) -> Path:
    """As a file of this type of numbers, in the format that its name begins with."""
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    if kind == "tiff":
        return tiff(folder / "x.tif", values.astype(values.dtype.newbyteorder("<")), form=form)
    if kind == "npy":
        np.save(folder / "x.npy", values)
        return folder / "x.npy"
    if kind == "pgm":
        return pgm(folder / "x.pgm", values, 65535)
    if kind == "png":
        Image.fromarray(values).save(folder / "x.png")
        return folder / "x.png"
    bits = 8 * values.itemsize * (-1 if values.dtype.kind == "f" else 1)
    return fits(folder / "x.fits", values.astype(values.dtype.newbyteorder(">"))[::-1], bits)


# --- without a range ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiff", "npy", "pgm", "png"])
def test_unsigned_16_bits_are_scaled_by_their_full_range(tmp_path: Path, kind: str) -> None:
    values = ramp(0, 65535, "u2")
    np.testing.assert_array_equal(read(save(tmp_path, kind, values)), scaled(values, 0, 65535))


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        ("tiff", ramp(-1000, 3000, "i2"), "int16"),
        ("tiff", ramp(0, 255, "i4"), "int32"),
        ("tiff", ramp(-5e8, 5e8, "i4"), "int32"),
        ("tiff", ramp(0, 2**32 - 1, "u4"), "uint32"),
        ("tiff", ramp(-128, 127, "i1"), "int8"),
        ("fits", ramp(-1000, 3000, "i2"), "int16"),
        ("fits", ramp(0, 4000, "i4"), "int32"),
        *(("npy", ramp(0, 100, kind), np.dtype(kind).name) for kind in ("i1", "i2", "i4", "i8", "u4", "u8")),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_integers_are_refused_with_their_range_and_the_option(
    tmp_path: Path, kind: str, values: np.ndarray, shown: str, channels: int
) -> None:
    path = save(tmp_path, kind, values)
    reason = refused(path, channels)
    assert reason.startswith(f"has values of type {shown}; readable are uint8, uint16")
    assert reason.endswith(f"and here are {values.min()} to {values.max()}; {OPTION}")
    low, high = float(values.min()), float(values.max())
    found = read(path, channels, (low, high))
    expected = scaled(values, low, high)
    assert np.abs(found.reshape(64, 64, -1)[..., 0].astype(int) - expected).max() <= 1
    assert len(np.unique(found)) > 90  # not clipped to black or white


@pytest.mark.parametrize("kind", ["tiff", "fits", "npy"])
@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0, 1000, "has floats from 0 to 1000"), (-1, 1, "has floats from -1 to 1"), (0, np.inf, "has infinite values")],
)
def test_floats_out_of_range_are_refused(tmp_path: Path, kind: str, low: float, high: float, says: str) -> None:
    values = ramp(low, 1000 if np.isinf(high) else high, "f4")
    values[0, 0] = high if np.isinf(high) else values[0, 0]
    reason = refused(save(tmp_path, kind, values))
    assert reason.startswith(says)
    assert reason.endswith(OPTION)
    np.testing.assert_array_equal(read(tmp_path / _name(kind), 1, (-1, 1)), scaled(values, -1, 1))


def _name(kind: str) -> str:
    return {"tiff": "x.tif", "fits": "x.fits", "npy": "x.npy"}[kind]


def test_no_number_at_all_is_refused_and_some_are_black(tmp_path: Path) -> None:
    values = np.full((4, 4), np.nan, "f4")
    for kind in ("tiff", "npy"):
        assert refused(save(tmp_path, kind, values)) == "has no value but NaN"
        assert refused(tmp_path / _name(kind), value_range=(0, 1)) == "has no value but NaN"
    values[0] = 0.5
    assert read(save(tmp_path, "tiff", values), 1, (-1, 1))[:2, 0].tolist() == [191, 0]
    for kind in ("f4", "i4", "u2"):
        assert refused(save(tmp_path, "npy", np.zeros((0, 5), kind))) == "has no values"


def test_fits_says_how_its_integers_are_meant(tmp_path: Path) -> None:
    wide = ramp(0, 65535, "u2")
    signed = (wide.astype(int) - 32768).astype(">i2")[::-1]
    unsigned = fits(tmp_path / "u.fits", signed, 16, BZERO=32768)
    np.testing.assert_array_equal(read(unsigned), scaled(wide, 0, 65535))
    values = fits(tmp_path / "f.fits", signed, 16, BZERO=0.5, BSCALE=1 / 65536)  # 0 to 1, as floats
    assert np.abs(read(values).astype(int) - scaled(wide, 0, 65535)).max() <= 1
    small = fits(tmp_path / "s.fits", np.zeros((4, 4), ">u1"), 8, BZERO=-128)
    assert "values of type int8" in refused(small)
    stack = fits(tmp_path / "stack.fits", np.zeros((3, 4, 4), ">i2"), 16)
    assert "has 3 planes, of which Pillow reads one" in refused(stack)
    assert "has 3 planes" in refused(fits(tmp_path / "b.fits", np.zeros((3, 4, 4), ">u1"), 8))


@pytest.mark.parametrize("most", [300, 4095, 65534, 65535])
def test_white_of_a_pgm_stands_in_its_header(tmp_path: Path, most: int) -> None:
    values = ramp(0, most, "u2")
    path = pgm(tmp_path / "x.pgm", values, most)
    np.testing.assert_array_equal(read(path), scaled(values, 0, most))
    np.testing.assert_array_equal(read(path, 1, (100, 200)), scaled(values, 100, 200))


def test_12_bits_are_a_range_of_their_own(tmp_path: Path) -> None:
    packed = np.array([[0xFF, 0xF8, 0x00, 0x00, 0x00, 0x10]], np.uint8)  # 4095, 2048, 0, 16
    path = tiff(tmp_path / "x.tif", packed, bits=12)
    np.testing.assert_array_equal(read(path), scaled(np.array([[4095, 2048, 0, 16]]), 0, 4095))
    np.testing.assert_array_equal(read(path, 1, (0, 32)), [[255, 255, 0, 128]])


@pytest.mark.parametrize("value_range", [None, (1000, 5000)])
def test_white_is_zero_is_turned_around_for_all_types(tmp_path: Path, value_range: tuple[float, float] | None) -> None:
    share = np.linspace(0, 1, 4096).reshape(64, 64)
    assert read(tiff(tmp_path / "8.tif", (share * 255).astype("u1"), photometric=0))[0, 0] == 255
    wide = (share * 65535).astype("<u2")
    normal = read(tiff(tmp_path / "n.tif", wide), 1, value_range)
    found = read(tiff(tmp_path / "16.tif", wide, photometric=0), 1, value_range)
    np.testing.assert_array_equal(found, 255 - normal)
    assert found[0, 0] == 255
    floats = read(tiff(tmp_path / "f.tif", share.astype("<f4"), form=3, photometric=0))
    np.testing.assert_array_equal(floats, 255 - scaled(share.astype("f4"), 0, 1))


@pytest.mark.parametrize("form", [1, 2, 3])
def test_pages_of_numbers_follow_the_same_rule(tmp_path: Path, form: int) -> None:
    kind = {1: "<u2", 2: "<i2", 3: "<f4"}[form]
    pages = [ramp(low, low + 1000, kind) for low in (0, 1000, 3000, 100, 7)]
    path = tiff(tmp_path / "x.tif", *pages, form=form)
    found = read(path, 5, (0, 4000))
    # floats are scaled in float32: half a grey may go the other way
    assert np.abs(found.astype(int) - scaled(np.stack(pages), 0, 4000)).max() <= (form == 3)
    if form > 1:
        assert OPTION in refused(path, 5)
    inverted = read(tiff(tmp_path / "w.tif", *[ramp(0, 65535, "<u2")] * 2, photometric=0), 2)
    np.testing.assert_array_equal(inverted, 255 - scaled(np.stack([ramp(0, 65535, "u2")] * 2), 0, 65535))


# --- colour and alpha of 16 bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("colour", "planes", "mode"), [(2, 3, "RGB"), (4, 2, "LA"), (6, 4, "RGBA")])
def test_png_of_16_bits_in_colour_or_with_alpha(tmp_path: Path, colour: int, planes: int, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 4001, (8, 9, planes), dtype=np.uint16)
    if mode != "RGB":
        values[..., -1] = 65535
    path = png(tmp_path / "x.png", values, colour)
    colours = values if mode == "RGB" else values[..., :-1]
    for value_range, high in ((None, 65535), ((0, 4000), 4000)):
        found = read(path, 3, value_range)
        expected = scaled(colours, 0, high)
        np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))
    if mode != "RGB":
        bands = read(path, planes)
        np.testing.assert_array_equal(bands, np.moveaxis(scaled(values, 0, 65535), 2, 0))
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path, 3)


def test_a_png_of_16_bits_is_turned_upright(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (8, 9, 3), dtype=np.uint16)
    plain = png(tmp_path / "x.png", values, 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    block = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
    whole = plain.read_bytes()
    (tmp_path / "turned.png").write_bytes(whole[:33] + chunk + whole[33:])
    np.testing.assert_array_equal(read(tmp_path / "turned.png", 3), np.rot90(read(plain, 3), -1))


def test_colours_of_which_pillow_gives_8_bits_are_refused_with_a_range(tmp_path: Path) -> None:
    (tmp_path / "x.ppm").write_bytes(b"P6\n2 1\n4000\n" + np.array([0, 2000, 4000] * 2, ">u2").tobytes())
    np.testing.assert_array_equal(read(tmp_path / "x.ppm", 3)[0, 0], [0, 128, 255])
    assert "preprocess.value_range needs all of them" in refused(tmp_path / "x.ppm", 3, (0, 2000))


def test_images_of_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    for name in ("x.png", "x.tif", "x.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name, 3, (0, 4000)), pixels)
    np.save(tmp_path / "x.npy", pixels)
    np.testing.assert_array_equal(read(tmp_path / "x.npy", 3, (0, 4000)), pixels)
    np.save(tmp_path / "x.npy", pixels > 128)
    np.testing.assert_array_equal(read(tmp_path / "x.npy", 3, (0, 4000)), (pixels > 128) * np.uint8(255))


def test_in_memory_too() -> None:
    values = ramp(-1000, 3000, "i4")
    found = channels_first(values, value_range=(-1000, 3000))
    np.testing.assert_array_equal(found[0], scaled(values, -1000, 3000))
    image = Image.fromarray(values)

    class One(Images):
        def __len__(self) -> int:
            return 1

        def read(self, index: int) -> Any:
            return image

    with pytest.raises(UnreadableImage, match="has values of type int32"):
        read_image(One(), 0, 3)
    found = np.asarray(read_image(One(), 0, 1, values=Values(value_range=(-1000, 3000))))
    np.testing.assert_array_equal(found, scaled(values, -1000, 3000))
