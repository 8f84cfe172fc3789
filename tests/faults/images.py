"""Damaged and odd image files: no crash, no hang; what cannot be read is replaced and listed."""

from __future__ import annotations

import io
import os
import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from faults.suite import Suite
from sslkit.data.loading import AugmentedImages
from sslkit.engine.construct import construct
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from tiny_run import TINY

_FORMATS = (
    ("RGB", "jpeg"), ("L", "jpeg"), ("CMYK", "jpeg"), ("RGB", "png"), ("P", "png"), ("I;16", "png"), ("LA", "png"),
    ("RGBA", "webp"), ("1", "bmp"), ("RGB", "gif"), ("RGB", "tiff"),
)  # fmt: skip
_SIZES = ((40, 30), (1, 1), (1, 3000), (3000, 1), (64, 64))
_ODD = ("empty", "html", "fifo", "dead link", "folder", "zeros")


@cache
def _encoded(kind: int) -> bytes:
    mode, form = _FORMATS[kind % len(_FORMATS)]
    width, height = _SIZES[kind // len(_FORMATS) % len(_SIZES)]
    pixels = np.random.default_rng(kind).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def _spoilt(draw: random.Random) -> tuple[str, bytes]:
    """A file's ending and contents: whole, cut, or with bytes changed, left out or put in."""
    kind = draw.randrange(len(_FORMATS) * len(_SIZES))
    data = bytearray(_encoded(kind))
    action = draw.choice(["whole", "cut", "change", "change", "change", "remove", "insert"])
    if action == "cut":
        del data[draw.randrange(len(data)) :]
    for _ in range(draw.randint(1, 20) if action in ("change", "remove", "insert") else 0):
        at = draw.randrange(len(data))
        if action == "change":
            data[at] = draw.randrange(256)
        elif action == "remove":
            del data[at : at + draw.randint(1, 30)]
            data = data or bytearray(b"x")
        else:
            data[at:at] = draw.randbytes(draw.randint(1, 30))
    return _FORMATS[kind % len(_FORMATS)][1], bytes(data)


def _make(file: Path, odd: str) -> None:
    {
        "empty": lambda: file.write_bytes(b""),
        "html": lambda: file.write_text("<html>not here</html>"),
        "fifo": lambda: os.mkfifo(file),
        "dead link": lambda: file.symlink_to(file.with_name("gone.png")),
        "folder": lambda: file.mkdir(),
        "zeros": lambda: file.write_bytes(bytes(5000)),
    }[odd]()


def case(number: int, folder: Path) -> None:
    """Twenty files, all views of each; some of them good, so that there is a replacement."""
    draw = random.Random(number)
    root = folder / "images"
    root.mkdir(parents=True)
    for index in range(20):
        odd = draw.random()
        if odd < 0.15:
            _make(root / f"{index:02}.png", draw.choice(_ODD))
        elif odd < 0.6:
            (root / f"{index:02}.png").write_bytes(_encoded(3))
        else:
            ending, data = _spoilt(draw)
            (root / f"{index:02}.{ending}").write_bytes(data)
    (root / "good.png").write_bytes(_encoded(3))
    recipe = load_recipe(TINY | {"data": {"name": "image_folder", "root": str(root)}}, (), load_registry())
    images = construct(recipe.data).split("train")  # type: ignore[attr-defined]
    views = AugmentedImages(images, construct(recipe.augment, {"channels": 3}), 3, 0)  # type: ignore[arg-type]
    for index in range(len(images)):
        sample = views[0, index]
        assert not sample.failure, sample.failure
        assert sample.views, "no replacement was found"
        assert all(bad.reason and "\n" not in bad.reason for bad in sample.bad)
        # an image that was read stands for itself, another one only for one that is listed
        assert (sample.index == index) == (not sample.bad) or sample.index == index


SUITE = Suite("images", "10,000 damaged or odd files (20 a case): no crash, no hang, every skip listed", 500, 8, case)
