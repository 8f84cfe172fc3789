"""A recipe that was made for small images warns on large ones, in a run and in ``data check``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sslkit
from sslkit.cli.main import main
from sslkit.errors import RunError, UserError
from sslkit.report.crop_size import median_short_side, too_small
from sslkit_vision.image_folder import ImageFolder
from tiny_run import tiny


def folder(root: Path, side: int, count: int = 8) -> Path:
    root.mkdir()
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{seed}.png")
    return root


@pytest.mark.parametrize(
    ("view", "side", "warned"),
    [(16, 32, False), (16, 47, False), (16, 48, True), (32, 480, True), (64, 191, False), (96, 4000, False)],
)
def test_below_96_pixels_a_third_of_the_images_is_too_small(view: int, side: int, warned: bool) -> None:
    assert (too_small(view, side) is not None) == warned


def test_a_handful_of_readable_images_is_measured(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", 60)
    (root / "0.png").write_bytes(b"")
    images = ImageFolder(str(root)).split("train")
    assert images is not None
    assert median_short_side(images, 3) == 60
    assert median_short_side(images, 5) == 0


PLUGIN = '''
"""A data set whose author forgot what images are."""
import numpy as np
import sslkit
from sslkit.parts import Dataset, Images

class Arrays(Images):
    def __len__(self):
        return 20
    def read(self, index):
        if index < FIRST:
            from PIL import Image
            return Image.new("RGB", (32, 32))
        return np.zeros((32, 32, 3), np.uint8)

class Forgetful(Dataset):
    """Arrays instead of images."""
    def __init__(self) -> None:
        pass
    def split(self, which):
        return Arrays() if which == "train" else None

@sslkit.hookimpl
def sslkit_register(registry):
    registry.dataset("forgetful", Forgetful)
'''


@pytest.mark.parametrize(
    ("first", "error", "said"),
    [(0, UserError, "on image 0: TypeError: Arrays.read gave a ndarray"), (4, RunError, "data set failed on image 4")],
)
def test_a_data_set_that_fails_is_named_in_one_sentence(
    tmp_path: Path, first: int, error: type[Exception], said: str
) -> None:
    plugin = tmp_path / f"forgetful_{first}.py"
    plugin.write_text(PLUGIN.replace("FIRST", str(first)))
    recipe = tiny(data={"name": "forgetful"})
    with pytest.raises(error, match=said):
        sslkit.fit(recipe, {"train.batch_size": 4}, out=tmp_path / "r", plugins=(plugin,))


def test_a_run_and_data_check_name_the_sizes_and_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "d", 120)
    data = {"name": "image_folder", "root": str(root)}
    overrides = {"train.max_steps": 1, "train.batch_size": 4, "evaluate": None}
    sslkit.fit(tiny(data=data), overrides, out=tmp_path / "r")
    said = "median short side is 120 pixels and the largest view has 16: this recipe was made for small images"
    complained = capsys.readouterr().err
    assert said in complained
    assert "--recipe photos (224 pixels) or photos_small (96)" in complained
    sslkit.fit(tiny(data=data), {**overrides, "train.short_side": 32}, out=tmp_path / "shrunk")
    assert said not in capsys.readouterr().err
    words = ["data", "check", str(root), "--out", str(tmp_path / "out"), "--train.workers", "0"]
    main([*words, "--recipe", "quickstart"])
    assert said in capsys.readouterr().out
    main([*words, "--recipe", "photos_small"])
    assert "made for small images" not in capsys.readouterr().out
