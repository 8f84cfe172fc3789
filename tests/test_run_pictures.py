"""Pictures of a run: views beside the image that they are of, and curves in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageFont

import sslkit
from evaluation_parts import write_png
from sslkit.data.loading import AugmentedImages
from sslkit.parts import ViewSpec
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.report.curves import _draw, _even, panel_rows
from sslkit.report.pictures import ORIGINAL_SIDE, SHOWN_SIDE, _fitting, crop_corners, draw_views, titles
from sslkit_dino.loss import DINOLoss
from sslkit_vision.image_folder import ImageFolder
from sslkit_vision.multicrop import MultiCrop
from tiny_run import tiny

GREY, BLUE = (128, 128, 128), (31, 119, 180)  # the first colour of matplotlib's tab10


@pytest.mark.parametrize("angle", [0.0, 25.0, -70.0])
@pytest.mark.parametrize(("x", "y"), [(30, 20), (90, 50)])
def test_corners_are_where_the_crop_came_from(angle: float, x: int, y: int) -> None:
    pixels = np.zeros((80, 120), dtype=np.uint8)
    pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
    turned = np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BILINEAR)).astype(float)
    if turned.sum() < 2000:
        pytest.skip("it is turned out of the image")
    down, across = (float((grid * turned).sum() / turned.sum()) + 0.5 for grid in np.indices(turned.shape))
    found = crop_corners({"box": [down, across, 7.0, 9.0], "rotation": angle}, 120, 80)
    assert found[0] == pytest.approx((x + 0.5, y + 0.5), abs=0.3)
    sides = [np.hypot(*np.subtract(found[corner], found[corner - 1])) for corner in range(4)]
    assert sides == pytest.approx([7, 9, 7, 9])


def test_views_have_titles() -> None:
    specs = (ViewSpec("global0", 224), ViewSpec("global1", 224), ViewSpec("local0", 96), ViewSpec("whole", 64))
    assert titles(specs) == [
        "global 1 of 2\n224 px",
        "global 2 of 2\n224 px",
        "local 1 of 1\n96 px",
        "whole 1 of 1\n64 px",
    ]


def test_long_names_keep_both_ends() -> None:
    font = ImageFont.load_default(12)
    name = "animals/mammals/" + "very_" * 30 + "long.jpg"
    cut = _fitting(name, 150, font)
    assert font.getlength(cut) <= 150
    assert cut.startswith("anim")
    assert cut.endswith("ng.jpg")
    assert _fitting("short.jpg", 150, font) == "short.jpg"


def test_each_row_has_the_original_its_boxes_and_its_views(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "a.png").write_bytes(b"broken")
    write_png(root / "b.png", np.full((40, 80, 3), 128, dtype=np.uint8))
    images = ImageFolder(str(root)).split("train")
    assert images is not None
    plain = MultiCrop(3, global_crops=2, local_crops=1, global_size=32, local_size=16, jitter=0, grayscale=0,
                      blur=(0, 0, 0), solarize=(0, 0, 0), pixels="exact")  # fmt: skip
    views = AugmentedImages(images, plain, 3, seed=0)
    file = draw_views(tmp_path / "views.png", views)
    assert file is not None
    sheet = Image.open(file)
    assert sheet.mode == "RGB"
    # one column of 192 pixels and three of 96, with frames of 3 and gaps of 8
    assert sheet.width == ORIGINAL_SIDE + 3 * SHOWN_SIDE + 4 * 2 * 3 + 5 * 8
    pixels = np.asarray(sheet)
    # an unreadable image is replaced: both rows show the other one, half as high as wide
    for row in range(2):
        top = 40 + row * (ORIGINAL_SIDE + 30)
        original = pixels[top : top + 96, 8 : 8 + 192]
        assert (original == GREY).all(axis=2).mean() > 0.5
        box = views.draws(0, row, len(views[0, row].bad), (80, 40))[0]["box"]
        assert isinstance(box, list)
        down, across = round(box[0] * 2.4), round(box[1] * 2.4)
        edge = original[max(0, down - 1) : down + 2, across + 20 : across + 60]
        assert (edge == BLUE).all(axis=2).any()
        first = pixels[top : top + 102, 8 + 192 + 6 + 8 :][:, :102]
        assert tuple(first[0, 50]) == BLUE
        assert (first[3:-3, 3:-3] == GREY).all()


def recipe_of(**changes: object) -> Recipe:
    return load_recipe(tiny(**changes), [], load_registry())


def steps(name: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"epoch": np.arange(1, len(values) + 1) / 50, "name": name, "value": values})


def noisy(length: int = 200) -> np.ndarray:
    return np.linspace(3, 1, length) + np.random.default_rng(0).normal(0, 0.2, length)


def test_curves_are_called_in_words_with_units() -> None:
    names = ["loss", "dino/teacher_entropy", "lr", "grad_norm", "weight_decay"]
    table = pd.concat([steps(name, noisy()) for name in names])
    judged = ["teacher/knn/k5_top1", "student/knn/k5_top1", "teacher/knn/raw_pixels_k5_top1", "teacher/knn/k5_top5"]
    table = pd.concat([table, *(steps(name, np.array([40.0, 50.0])) for name in judged)])
    table = pd.concat([table, steps("time/images_per_second", noisy()), steps("constant", np.ones(9))])
    first, *rest = panel_rows(table, recipe_of())
    loss, accuracy = first
    assert (loss.title, loss.unit, loss.note) == ("loss", "nats", DINOLoss.reading)
    assert accuracy.unit == "%"
    assert list(accuracy.lines) == [
        "teacher: k-NN top-1 (k = 5)", "student: k-NN top-1 (k = 5)", "raw pixels: k-NN top-1 (k = 5)",
    ]  # fmt: skip
    assert [(panel.title, panel.unit) for row in rest for panel in row] == [
        ("teacher entropy", "nats"), ("learning rate", ""), ("gradient norm before clipping", ""), ("weight decay", ""),
    ]  # fmt: skip


def test_a_loss_that_says_nothing_has_no_note() -> None:
    recipe = recipe_of(
        augment={"name": "multicrop", "local_crops": 0, "global_size": 16},
        head={"name": "mlp", "hidden_dim": 32, "out_dim": 16},
        teacher=None,
        loss={"name": "ntxent"},
    )
    ((panel,),) = panel_rows(steps("loss", noisy()), recipe)
    assert panel.note == ""


@pytest.mark.parametrize("panels", range(13))
def test_no_row_of_plots_has_a_gap(panels: int) -> None:
    recipe = recipe_of()
    table = pd.concat([steps(f"quantity_{number}", noisy()) for number in range(panels)] or [steps("time/x", noisy())])
    rows = panel_rows(table, recipe)
    assert sum(map(len, rows)) == panels
    # every row fills the width: none is shorter than another by more than one plot
    assert all(1 <= len(row) <= 3 for row in rows)
    assert not rows or max(map(len, rows)) - min(map(len, rows)) <= 1
    assert _even([]) == []


def test_noise_gets_a_running_mean_and_schedules_do_not() -> None:
    recipe = recipe_of()
    stairs = np.repeat([0.02, 0.03, 0.04, 0.05], 50)
    table = pd.concat([steps("loss", noisy()), steps("lr", np.linspace(0, 1, 200)), steps("stairs", stairs)])
    drawn = {}
    for row in panel_rows(table, recipe):
        for panel in row:
            axes = Figure().add_subplot()
            _draw(panel, axes, 80)
            drawn[panel.title] = axes.lines
    raw, smooth = drawn["loss"]
    assert np.array_equal(raw.get_ydata(), noisy())
    trend = np.linspace(3, 1, 200)
    assert np.abs(smooth.get_ydata() - trend).mean() < 0.5 * np.abs(noisy() - trend).mean()
    assert len(drawn["learning rate"]) == len(drawn["stairs"]) == 1


def test_a_run_without_evaluations_draws_its_curves(tmp_path: Path) -> None:
    out = sslkit.fit(tiny(), {"train.epochs": 1, "evaluate.knn": None}, out=tmp_path / "run").folder
    assert Image.open(out / "pictures/curves.png").width > 1000
