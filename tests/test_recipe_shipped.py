from __future__ import annotations

from pathlib import Path

import pytest

import sslkit
from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import Shipped, list_recipes
from sslkit.recipe.load import load_recipe

SHIPPED = list_recipes()


def test_recipes_are_shipped() -> None:
    assert {"quickstart", "dino_vits16"} <= {recipe.name for recipe in SHIPPED}


@pytest.mark.parametrize("shipped", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_a_shipped_recipe_is_found_by_its_name_and_reads_back(shipped: Shipped) -> None:
    recipe = load_recipe(shipped.name)
    assert load_recipe(f"{shipped.name}.yaml") == recipe
    assert load_recipe(shipped.path) == recipe
    assert load_recipe(recipe.resolved) == recipe
    assert recipe.notes == ()


@pytest.mark.parametrize("shipped", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_a_shipped_recipe_opens_with_its_command(shipped: Shipped) -> None:
    assert "sslkit fit --recipe" in shipped.comment
    assert shipped.comment.splitlines()[0].endswith(".")


def test_no_built_in_plugin_is_broken() -> None:
    assert load_registry().broken == {}


#: What makes a published recipe tiny, and leaves its method as it is.
TINY = {
    "data": {"name": "synthetic", "images": 16, "size": 32},
    "preprocess": {"size": 32, "resize": None},
    "augment": {"global_size": 32, "local_size": 16},
    "train": {"batch_size": 4, "precision": "fp32", "workers": 0, "max_steps": 1},
    "evaluate": None,
    "watch": None,
}
SMALLER = {
    "vit": {"dim": 16, "depth": 1, "heads": 2},
    "torchvision": {"arch": "resnet18"},
    "timm": {"arch": "xcit_nano_12_p16_224"},
    "small_convnet": {"widths": [8, 16]},
}
#: Recipes that run on a CPU as they are.
SMALL = [
    shipped.name
    for shipped in SHIPPED
    if shipped.name.startswith(("quickstart", "clipart")) or "_fashion" in shipped.name
]
PUBLISHED = [shipped.name for shipped in SHIPPED if shipped.name not in SMALL]
METHODS = ("dino", "simclr", "mocov2", "mocov3", "byol", "simsiam", "swav", "barlow", "vicreg", "supervised")
#: Options of heads and losses that make them small, by name.
NARROW = {
    "dino": {"out_dim": 32, "hidden_dim": 16, "bottleneck_dim": 8},
    "mlp": {"out_dim": 32, "hidden_dim": 16},
    "prototypes": {"out_dim": 8},
    "info_nce_queue": {"queue_length": 16},
}


def test_every_published_run_has_a_recipe() -> None:
    assert {name for name in PUBLISHED if name.startswith("dino_")} == {
        "dino_vits16", "dino_vits16_300ep", "dino_vits16_800ep", "dino_vits8", "dino_vitb16", "dino_vitb8",
        "dino_resnet50", "dino_xcit_small_12_p16",
    }  # fmt: skip


def test_every_method_has_a_recipe_of_the_paper_and_a_small_one() -> None:
    for method in METHODS:
        assert any(name.startswith(f"{method}_") for name in PUBLISHED)
        assert f"{method}_fashion" in SMALL


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_makes_a_step_at_tiny_size(name: str, tmp_path: Path) -> None:
    whole = load_recipe(name)
    overrides = {**TINY, "backbone": SMALLER[whole.backbone.name]}
    for section, part in (("head", whole.head), ("predictor", whole.predictor)):
        if part is not None and part.name in NARROW:
            overrides[section] = NARROW[part.name]
    for spec in whole.losses.values():
        overrides |= {f"loss.{key}": value for key, value in NARROW.get(spec.part.name, {}).items() if "queue" in key}
    out = sslkit.fit(name, overrides, out=tmp_path / "run").folder
    assert (out / "checkpoints" / "step-00000001").is_dir()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        # facts of the published runs: epochs, batch, peak and end of the rate, clip, frozen epochs, temperature and its
        # warm-up, normed last layer, local crops
        ("dino_vits16", (100, 512, 5e-4, 1e-6, 3.0, 1, 0.04, 0, True, 8)),
        ("dino_vits16_300ep", (300, 1024, 5e-4, 1e-6, 3.0, 1, 0.07, 30, False, 8)),
        ("dino_vits16_800ep", (800, 1024, 5e-4, 1e-5, None, 1, 0.07, 30, False, 10)),
        ("dino_vits8", (800, 1024, 5e-4, 1e-5, None, 1, 0.07, 30, False, 10)),
        ("dino_vitb16", (400, 1024, 7.5e-4, 2e-6, 0.3, 3, 0.07, 50, True, 10)),
        ("dino_vitb8", (300, 1024, 5e-4, 2e-6, 3.0, 3, 0.07, 50, True, 10)),
        ("dino_resnet50", (100, 512, 0.03, 1e-6, 3.0, 1, 0.04, 0, True, 8)),
        ("dino_xcit_small_12_p16", (300, 1024, 5e-4, 1e-6, 3.0, 1, 0.07, 30, False, 8)),
    ],
)
def test_a_published_recipe_has_the_published_settings(name: str, settings: tuple[object, ...]) -> None:
    recipe = load_recipe(name)
    assert recipe.head is not None
    loss, rate = recipe.losses["dino"].part.options, recipe.optimizer.options["lr"].options
    assert settings == (
        recipe.train.epochs, recipe.train.batch_size, rate["start"], rate["end"],
        recipe.clip.options["max_norm"] if recipe.clip else None,
        recipe.head.options["freeze_last_layer_epochs"], loss["teacher_temp"], loss["warmup_teacher_temp_epochs"],
        recipe.head.options["norm_last_layer"], recipe.augment.options["local_crops"],
    )  # fmt: skip
