"""What a step and an image may cost, by counting: gates that no busy machine can move."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from crop_pictures import photo, sources
from launched import Launched
from sslkit.data.batch import Batch
from sslkit.data.loading import AugmentedImages
from sslkit.data.whole import stack_sources
from sslkit.engine.build import Length, build_run
from sslkit.engine.step import training_step
from sslkit.parts import Images
from sslkit.parts.position import Position
from sslkit.recipe.load import load_recipe
from sslkit_vision.multicrop import MultiCrop

WIDTH, DEPTH, PROTOTYPES, HIDDEN, BOTTLENECK, PATCH = 32, 3, 64, 48, 16, 8
RECIPE: dict[str, Any] = {
    "data": {"name": "digits"},
    "preprocess": {"size": 32},
    "augment": {"name": "multicrop", "local_crops": 2, "global_size": 32, "local_size": 16},
    "backbone": {"name": "vit", "dim": WIDTH, "depth": DEPTH, "heads": 2, "patch_size": PATCH, "drop_path_rate": 0.0},
    "head": {
        "name": "dino", "out_dim": PROTOTYPES, "hidden_dim": HIDDEN, "bottleneck_dim": BOTTLENECK,
        "freeze_last_layer_epochs": 0,
    },
    "teacher": {"name": "ema"},
    "loss": {"name": "dino"},
    "optimizer": {"name": "adamw"},
    "train": {"lr_per_images": None},
}  # fmt: skip


def forward_flops(views: int, side: int) -> int:
    """Of backbone and head for one image's views of one size, with the last block for [CLS] alone."""
    tokens = (side // PATCH) ** 2 + 1
    embed = 2 * (tokens - 1) * 3 * PATCH**2 * WIDTH
    block = 2 * tokens * WIDTH**2 * (3 + 1 + 8) + 4 * tokens**2 * WIDTH
    last = 2 * tokens * WIDTH**2 * 2 + 2 * WIDTH**2 * (1 + 1 + 8) + 4 * tokens * WIDTH
    head = 2 * (WIDTH * HIDDEN + HIDDEN**2 + HIDDEN * BOTTLENECK + BOTTLENECK * PROTOTYPES)
    return views * (embed + (DEPTH - 1) * block + last + head)


def test_a_step_multiplies_no_more_than_its_formula() -> None:
    run = build_run(load_recipe(RECIPE), Length(5, 10), 10, torch.device("cpu"))
    sizes = {32: 2, 16: 2}
    pixels = {
        size: torch.randint(0, 256, (count, 4, 3, size, size), dtype=torch.uint8) for size, count in sizes.items()
    }
    with FlopCounterMode(display=False) as counter:
        training_step(run, Batch(pixels, torch.arange(4), None), Position(0, 10, 5))
    student, teacher = (sum(forward_flops(views, side) for side, views in of.items()) for of in (sizes, {32: 2}))
    # forward, and twice that backward; the teacher forward alone
    most = 4 * (3 * student + teacher)
    assert 0.85 * most < counter.get_total_flops() <= 1.01 * most


class Counted(Images):
    """Counts what is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 3

    def read(self, index: int) -> Image.Image:
        self.reads += 1
        return photo()


@pytest.mark.parametrize("pixels", ["exact", "fast", "device"])
def test_an_image_is_decoded_once_for_all_its_views(pixels: str) -> None:
    if pixels == "fast":
        pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'sslkit[opencv]'")
    images = Counted()
    views = AugmentedImages(images, MultiCrop(3, pixels=pixels), 3, 0)  # type: ignore[arg-type]
    for index in range(3):
        assert views[0, index].readable
    assert images.reads == 3


def test_views_on_the_device_are_launched_batch_by_batch() -> None:
    part = MultiCrop(3, global_size=32, local_size=16, pixels="device")
    assert part.on_device is not None
    counts = []
    for images in (2, 8):
        whole = stack_sources(sources(part, [photo()] * images))
        with Launched() as launched:
            part.on_device.render(whole)
        counts.append(launched.count)
    assert counts[0] == counts[1]
    assert counts[0] < 650
