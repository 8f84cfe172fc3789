"""Transparent pixels: white, black or dropped, whatever the file calls them; and old runs go on as they were."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import sslkit
from number_files import png
from sslkit.ablation.earlier import _differing
from sslkit.cli.main import main
from sslkit.data.reading import read_image
from sslkit.errors import UserError
from sslkit.parts import ImageFiles
from sslkit.parts.preprocess import Alpha, Preprocess, Values
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import completed, load_recipe
from tiny_run import TINY, tiny

RECIPES = Path(__file__).parents[1] / "recipes"
GROUND = {"white": 255, "black": 0}
#: Hidden colours, which nobody was meant to see.
HIDDEN = (200, 30, 90)
DRAWN = (10, 120, 240)


def read(path: Path, alpha: Alpha = "white", channels: int = 3) -> np.ndarray:
    return np.asarray(read_image(ImageFiles([path]), 0, channels, values=Values(alpha=alpha)))


def cut_out() -> Image.Image:
    """RGBA: the left half hidden, one column half seen, the rest opaque."""
    image = Image.new("RGBA", (8, 6), (*DRAWN, 255))
    image.paste((*HIDDEN, 0), (0, 0, 4, 6))
    image.paste((*HIDDEN, 128), (4, 0, 5, 6))
    return image


def written(folder: Path, kind: str) -> Path:
    """The cut-out in one of the ways that files have of saying transparent."""
    path = folder / f"x.{'gif' if kind == 'gif' else 'webp' if kind == 'webp' else 'tif' if kind == 'tiff' else 'png'}"
    image = cut_out()
    if kind == "webp":
        image.save(path, lossless=True, exact=True)
    elif kind in ("rgba", "tiff"):
        image.save(path)
    elif kind == "la":
        image.convert("LA").save(path)
    elif kind == "palette" or kind == "gif":
        flat = Image.fromarray(np.repeat(np.uint8([[0] * 4 + [1] * 4]), 6, axis=0))
        flat.putpalette([*HIDDEN, *DRAWN])
        flat.save(path, transparency=0)
    elif kind == "rgb key":
        pixels = np.where(np.arange(8)[:, None] < 4, HIDDEN, DRAWN).astype(np.uint8)
        png(path, np.repeat(pixels[None], 6, axis=0), 2, 8, struct.pack(">HHH", *HIDDEN))
    elif kind == "grey key":
        pixels = np.where(np.arange(8) < 4, 77, 140).astype(np.uint8)
        png(path, np.repeat(pixels[None, :, None], 6, axis=0), 0, 8, struct.pack(">H", 77))
    elif kind == "4-bit key":
        png(path, np.repeat(np.uint8([[0x55, 0x55, 0x99, 0x99]])[..., None], 6, axis=0), 0, 4, struct.pack(">H", 5))
    elif kind == "16-bit grey key":
        pixels = np.where(np.arange(8) < 4, 777, 40000).astype(np.uint16)
        png(path, np.repeat(pixels[None, :, None], 6, axis=0), 0, 16, struct.pack(">H", 777))
    elif kind == "16-bit rgb key":
        pixels = np.where(np.arange(8)[:, None] < 4, (777, 1, 65535), (40000, 30000, 9)).astype(np.uint16)
        png(path, np.repeat(pixels[None], 6, axis=0), 2, 16, struct.pack(">HHH", 777, 1, 65535))
    else:
        planes = {"16-bit grey": 1, "16-bit rgba": 3}[kind]
        pixels = np.full((6, 8, planes + 1), 30000, np.uint16)
        pixels[..., -1] = np.where(np.arange(8) < 4, 0, 65535)
        png(path, pixels, 4 if planes == 1 else 6)
    return path


KINDS = ["rgba", "tiff", "webp", "la", "palette", "gif", "rgb key", "grey key", "4-bit key", "16-bit grey key",
         "16-bit rgb key", "16-bit grey", "16-bit rgba"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_show_what_the_option_says(tmp_path: Path, kind: str, channels: int) -> None:
    path = written(tmp_path, kind)
    dropped = read(path, "drop", channels)
    assert not set(np.unique(dropped[:, :4])) & {0, 255} or kind == "16-bit rgb key"
    for alpha, ground in GROUND.items():
        found = read(path, alpha, channels)  # type: ignore[arg-type]
        assert (found[:, :4] == ground).all()
        np.testing.assert_array_equal(found[:, 5:], dropped[:, 5:])
    np.testing.assert_array_equal(read(path, channels=channels), read(path, "white", channels))


def test_half_transparent_pixels_are_mixed_and_dropping_is_pillows_own_way(tmp_path: Path) -> None:
    path = written(tmp_path, "rgba")
    mixed = read(path, "black")[0, 4]
    assert np.abs(mixed - np.array(HIDDEN) * 128 / 255).max() <= 1
    np.testing.assert_array_equal(read(path, "drop"), np.asarray(Image.open(path).convert("RGB")))
    opaque = np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "o.png")
    np.testing.assert_array_equal(read(tmp_path / "o.png"), opaque[..., :3])


def test_alpha_is_a_band_where_it_is_asked_for(tmp_path: Path) -> None:
    found = read_image(ImageFiles([written(tmp_path, "rgba")]), 0, 4, values=Values(alpha="white"))
    np.testing.assert_array_equal(found.array(), np.moveaxis(np.asarray(cut_out()), 2, 0))  # type: ignore[union-attr]


def folder_of_cut_outs(root: Path) -> Path:
    """Shapes on a transparent ground whose hidden colours are noise."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8)):
        for index in range(count):
            pixels = draw.integers(0, 256, (20, 20, 4), dtype=np.uint8)
            pixels[..., 3] = 0
            pixels[slice(2, 9) if index % 2 else slice(11, 18), 4:16] = (250, 20, 20, 255)
            (root / split / f"c{index % 2}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / split / f"c{index % 2}" / f"{index}.png")
    return root


def recipe(root: Path, out: Path, **preprocess: Any) -> dict[str, Any]:
    return tiny(
        data={"name": "image_folder", "root": str(root)},
        preprocess={**TINY["preprocess"], **preprocess},  # type: ignore[dict-item]
        train={"epochs": 1, "batch_size": 8, "workers": 0, "lr_per_images": None, "cache": str(out)},
        evaluate={"knn": {"k": [3], "raw_pixels": True}},
    )


def test_a_run_its_cache_its_features_and_the_check_of_its_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of_cut_outs(tmp_path / "data")
    summary = sslkit.fit(recipe(root, tmp_path / "cache"), out=tmp_path / "run").summary
    assert summary["teacher/knn/raw_pixels_k3_top1"] == 100
    assert json.loads((tmp_path / "cache/cache.json").read_text())["alpha"] == "white"
    net = sslkit.load_backbone(tmp_path / "run")
    image = Image.open(root / "train/c0/0.png")
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    np.testing.assert_array_equal(net.transform(image).numpy(), net.transform(white).numpy())
    capsys.readouterr()
    main(["data", "check", str(root), "--out", str(tmp_path / "check"), "--train.workers", "0"])
    assert "transparent pixels: in 24 images; they become white (preprocess.alpha: white)" in capsys.readouterr().out
    assert json.loads((tmp_path / "check/check.json").read_text())["transparent"] == 24


def test_a_run_that_was_begun_before_the_option_goes_on_as_it_was(tmp_path: Path) -> None:
    root, run = folder_of_cut_outs(tmp_path / "data"), tmp_path / "run"
    whole = recipe(root, tmp_path / "cache", alpha="drop")
    plain = recipe(root, tmp_path / "cache")
    sslkit.fit(whole, {"train.max_steps": 1}, out=run)
    there = yaml.safe_load((run / "recipe.yaml").read_text())
    for key in ("alpha", "value_range"):
        del there["preprocess"][key]  # as an older version wrote it
    (run / "recipe.yaml").write_text(yaml.safe_dump(there))
    net = sslkit.load_backbone(run)
    assert net.preprocess.alpha == "drop"
    with pytest.raises(UserError, match="preprocess.alpha: drop there, white now"):
        sslkit.fit(plain, {"preprocess.alpha": "white"}, out=run)
    for _ in range(2):  # and the second time, when the run's recipe says it
        sslkit.fit(plain, {"train.max_steps": 1}, out=run)
        assert yaml.safe_load((run / "recipe.yaml").read_text())["preprocess"]["alpha"] == "drop"
    sslkit.fit(plain, out=tmp_path / "other", overrides={"train.max_steps": 1})
    assert sslkit.load_backbone(tmp_path / "other").preprocess.alpha == "white"


def test_paper_recipes_keep_the_references_pixels_and_others_the_default() -> None:
    assert Preprocess().alpha == "white"
    for file in sorted(RECIPES.glob("*.yaml")):
        loaded = load_recipe(file)
        assert loaded.preprocess.alpha == ("drop" if loaded.data.name == "imagenet" else "white"), file.stem


def test_recipes_of_older_runs_are_completed_with_what_was_done_then() -> None:
    now = load_recipe(tiny()).resolved
    there = {**now, "preprocess": {k: v for k, v in now["preprocess"].items() if k not in ("alpha", "value_range")}}
    assert completed(there, load_registry())["preprocess"] == now["preprocess"] | {"alpha": "drop"}
    assert completed(now, load_registry()) == now
    # a grid whose runs go on as they were begun is no other grid
    before = completed(there, load_registry())
    assert _differing(before, SimpleNamespace(resolved=now, effects={})) == {}  # type: ignore[arg-type]
    other = _differing(now, SimpleNamespace(resolved=before, effects={}))  # type: ignore[arg-type]
    assert other == {"preprocess.alpha": ("white", "drop")}
