"""Images of any kind are read, and what cannot be read is told by name and reason."""

from __future__ import annotations

import io
import pickle
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.data.reading import MAX_PIXELS, BadImage, UnreadableImage, read_image
from sslkit.parts import Bands, Images
from sslkit.parts.preprocess import Values

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)


class Files(Images):
    """Image files by path, opened as a data set does: lazily."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Image.Image:
        return Image.open(self.paths[index])

    def name(self, index: int) -> str:
        return self.paths[index].name


class One(Images):
    """A single thing to read."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Image.Image:
        if isinstance(self.thing, BaseException):
            raise self.thing
        return self.thing


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_any_mode_becomes_rgb_or_grey(mode: str) -> None:
    given = Image.fromarray(PIXELS).convert(mode)
    colour = read_image(One(given.copy()), 0, 3)
    grey = read_image(One(given.copy()), 0, 1)
    assert (colour.mode, grey.mode) == ("RGB", "L")
    assert colour.size == grey.size == (7, 11)
    np.testing.assert_array_equal(array(colour), array(given.convert("RGB")))


@pytest.mark.parametrize("mode", ["La", "RGBa", "LAB", "F", "I", "I;16B"])
def test_rare_modes_are_read_too(mode: str) -> None:
    given = Image.new(mode, (5, 4))
    assert read_image(One(given), 0, 3).getpixel((0, 0)) is not None
    assert read_image(One(given), 0, 1).mode == "L"


def test_alpha_may_be_dropped_and_hidden_colours_stay_then() -> None:
    hidden = np.dstack([PIXELS, np.zeros(PIXELS.shape[:2], np.uint8)])
    found = read_image(One(Image.fromarray(hidden)), 0, 3, values=Values(alpha="drop"))
    np.testing.assert_array_equal(array(found), PIXELS)


def test_transparent_palettes_are_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    Image.fromarray(PIXELS).convert("P").save(path, transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(Files(path), 0, 3).mode == "RGB"


@pytest.mark.parametrize(
    ("floats", "expected"),
    [([0.0, 0.5, 1.0, np.nan], [0, 128, 255, 0]), ([0.0, 0.6, 100.4, 255.0], [0, 1, 100, 255]), ([0.0, 1000.0], None)],
)
def test_floats_are_scaled_to_8_bits(tmp_path: Path, floats: list[float], expected: list[int] | None) -> None:
    Image.fromarray(np.array([floats], dtype=np.float32)).save(tmp_path / "f.tif")
    if expected is None:
        with pytest.raises(UnreadableImage, match=r"f\.tif: has floats from 0 to 1000"):
            read_image(Files(tmp_path / "f.tif"), 0, 1)
    else:
        assert array(read_image(Files(tmp_path / "f.tif"), 0, 1)).tolist() == [expected]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_turned_upright(tmp_path: Path, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned by a quarter
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    turned = read_image(Files(tmp_path / "turned.png"), 0, channels)
    upright = read_image(One(Image.fromarray(np.rot90(PIXELS, -1))), 0, channels)
    np.testing.assert_array_equal(array(turned), array(upright))


def test_damaged_metadata_harms_no_pixel(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff nonsense")
    assert read_image(Files(tmp_path / "x.jpg"), 0, 3).size == (7, 11)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_to_8_bits(tmp_path: Path, suffix: str) -> None:
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    path = tmp_path / f"wide{suffix}"
    Image.fromarray(wide).save(path)
    expected = np.round(wide / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(array(read_image(Files(path), 0, 1)), expected)
    np.testing.assert_array_equal(array(read_image(Files(path), 0, 3))[:, :, 1], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_are_read(channels: int) -> None:
    tensor = torch.randint(0, 256, (channels, 6, 5), dtype=torch.uint8)
    image = read_image(One(tensor), 0, channels)
    expected = tensor.permute(1, 2, 0).numpy() if channels > 1 else tensor[0].numpy()
    np.testing.assert_array_equal(array(image), expected)


@pytest.mark.parametrize("channels", [2, 4, 5, 13])
def test_tensors_of_many_channels_are_bands_and_nothing_else_is_made_of_them(channels: int) -> None:
    tensor = torch.randint(0, 256, (channels, 6, 5), dtype=torch.uint8)
    found = read_image(One(tensor), 0, channels)
    assert isinstance(found, Bands)
    np.testing.assert_array_equal(found.array(), tensor.numpy())
    for others in (1, 3, channels + 1):
        with pytest.raises(UnreadableImage, match=f"has {channels} channels, and preprocess.channels is {others}"):
            read_image(One(tensor), 0, others)


@pytest.mark.parametrize(
    "thing",
    [
        torch.zeros(3, 4, 4),
        torch.zeros(4, 4, dtype=torch.uint8),
        torch.zeros(0, 4, 4, dtype=torch.uint8),
        np.zeros((4, 4, 3), np.uint8),
        None,
    ],
)
def test_what_is_no_image_is_the_data_sets_mistake(thing: object) -> None:
    with pytest.raises(TypeError):
        read_image(One(thing), 0, 3)


def png(width: int = 7) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.tile(PIXELS, (1, width, 1))).save(buffer, "PNG")
    return buffer.getvalue()


BROKEN = {
    "empty.jpg": b"",
    "page.png": b"<!DOCTYPE html><html>not an image</html>",
    "truncated.png": png()[:-40],
    "header.png": png()[:20],
    "flipped.png": png()[:60] + bytes([png()[60] ^ 255]) + png()[61:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_files_are_told_by_name_and_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(UnreadableImage, match=name) as caught:
        read_image(Files(tmp_path / name), 0, 3)
    bad = caught.value.bad
    assert (bad.index, bad.name) == (0, name)
    assert bad.reason
    assert "\n" not in bad.reason


def test_missing_files_and_folders_are_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(UnreadableImage):
            read_image(Files(path), 0, 3)


@pytest.mark.parametrize("error", [EOFError(), SyntaxError("broken PNG"), MemoryError(), RuntimeError("AVIF")])
def test_whatever_decoders_raise_has_a_reason(error: Exception) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_image(One(error), 0, 3)
    assert type(error).__name__ in caught.value.bad.reason


@pytest.mark.parametrize(("width", "height"), [(13000, 13000), (20000, 20000), (MAX_PIXELS + 1, 1)])
def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    # only the header claims the size: decoding would raise another error
    header = bytearray(png())
    header[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(header)
    with pytest.raises(UnreadableImage, match=r"pixels"):
        read_image(Files(path), 0, 3)


@pytest.mark.filterwarnings("error::UserWarning")
def test_mutated_files_never_raise_anything_else(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    path = tmp_path / "mutant"
    outcomes = set()
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(np.tile(PIXELS, (3, 4, 1))).save(buffer, kind)
        for _ in range(60):
            data = bytearray(buffer.getvalue())
            for place in draw.integers(0, min(len(data), int(draw.choice([64, 10000]))), 3):
                data[place] = int(draw.integers(256))
            path.write_bytes(data)
            try:
                outcomes.add(read_image(Files(path), 0, 3).mode)
            except UnreadableImage as error:
                outcomes.add(type(error))
    assert outcomes == {"RGB", UnreadableImage}


def test_a_decoder_that_stumbles_is_unreadable_but_a_data_set_that_does_is_a_mistake() -> None:
    broken = Image.new("RGB", (4, 4))
    broken._im = None  # as after a decoder that gave up: Pillow's own code trips over it
    with pytest.raises(UnreadableImage, match="AssertionError"):
        read_image(One(broken), 0, 1)
    with pytest.raises(AttributeError):
        read_image(One(AttributeError("self.pats")), 0, 3)


def test_errors_and_bad_images_pickle() -> None:
    bad = BadImage(3, "a.png", "it is empty")
    back = pickle.loads(pickle.dumps(UnreadableImage(bad)))
    assert isinstance(back, UnreadableImage)
    assert (back.bad, str(back)) == (bad, "a.png: it is empty")
