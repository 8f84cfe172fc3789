"""One side of benchmarks/peer_speed.py, in a process and an environment of its own: makes a round whenever it is asked.

    python benchmarks/peers/speed_side.py SIDE FOLDER BATCH OUT_DIM IMAGES

Prints ``ready`` once everything is built and warm; for each line ``step`` or ``pipeline`` that it is given ``took`` and
the seconds that a step, or so many images to ten views, took (of the processor, on one thread).
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

GLOBALS, LOCALS = (2, 224), (8, 96)
LR, WEIGHT_DECAY, MOMENTUM = 5e-4, 0.04, 0.996

Work = Callable[[], object]


def floats(batch: int) -> list[Tensor]:
    """Views as a loader gives them: [B, 3, size, size], large ones first."""
    made = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, 3, size, size, generator=made) for count, size in (GLOBALS, LOCALS) for _ in range(count)
    ]


def tiny() -> nn.Module:
    """timm's ViT-Ti/16, which takes views of any size."""
    import timm

    return timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True)


def optimizer(*nets: nn.Module) -> torch.optim.Optimizer:
    """The same for all sides."""
    parameters = [parameter for net in nets for parameter in net.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY)


def lightly_step(batch: int, out_dim: int) -> Work:
    """As lightly's example of DINO does it: view by view, updates by its helpers."""
    from lightly.loss import DINOLoss
    from lightly.models.modules import DINOProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    backbone, head = tiny(), DINOProjectionHead(192, 2048, 256, out_dim, freeze_last_layer=0)
    teacher, teacher_head = copy.deepcopy(backbone), DINOProjectionHead(192, 2048, 256, out_dim)
    for net in (teacher, teacher_head):
        deactivate_requires_grad(net)
    loss, steps, views = DINOLoss(output_dim=out_dim), optimizer(backbone, head), floats(batch)

    def step() -> None:
        update_momentum(backbone, teacher, m=MOMENTUM)
        update_momentum(head, teacher_head, m=MOMENTUM)
        targets = [teacher_head(teacher(view).flatten(start_dim=1)) for view in views[: GLOBALS[0]]]
        outputs = [head(backbone(view).flatten(start_dim=1)) for view in views]
        loss(targets, outputs, epoch=0).backward()
        head.cancel_last_layer_gradients(current_epoch=0)
        steps.step()
        steps.zero_grad()

    return step


def stable_step(batch: int, out_dim: int) -> Work:
    """stable-pretraining's DINO, and the update of the teacher that its callback makes."""
    from stable_pretraining.methods.dino import DINO

    model = DINO("vit_tiny_patch16_224", n_prototypes=out_dim, encoder_kwargs={"dynamic_img_size": True})
    model.train()
    steps, views = optimizer(model), floats(batch)

    def step() -> None:
        model(global_views=views[: GLOBALS[0]], local_views=views[GLOBALS[0] :]).loss.backward()
        steps.step()
        steps.zero_grad()
        model.backbone.update_teacher()
        model.projector.update_teacher()

    return step


def sslkit_step(batch: int, out_dim: int) -> Work:
    """The engine's training step."""
    from sslkit.data.batch import Batch
    from sslkit.engine.build import Length, build_run
    from sslkit.recipe.load import load_recipe
    from sslkit.report.bench import Steps

    recipe: dict[str, Any] = {
        "data": {"name": "synthetic", "images": batch, "size": 224},
        "preprocess": {"size": 224},
        "augment": {"name": "multicrop", "local_crops": LOCALS[0]},
        "backbone": {"name": "vit", "arch": "tiny", "drop_path_rate": 0.0},
        "head": {"name": "dino", "out_dim": out_dim, "freeze_last_layer_epochs": 0},
        "teacher": {"name": "ema", "momentum": MOMENTUM},
        "loss": {"name": "dino"},
        "optimizer": {"name": "adamw", "lr": LR, "weight_decay": WEIGHT_DECAY},
        "train": {"batch_size": batch, "lr_per_images": None},
    }
    length = Length(1000, 100_000)
    steps = Steps(build_run(load_recipe(recipe), length, None, torch.device("cpu")), length)
    pixels = {
        size: torch.randint(0, 256, (count, batch, 3, size, size), dtype=torch.uint8)
        for count, size in (GLOBALS, LOCALS)
    }
    given = Batch(pixels, torch.arange(batch), None)
    return lambda: steps.step(given)


def each(files: list[Path], count: int, transform: Callable[[Image.Image], object]) -> Work:
    """The next so many images."""
    place = 0

    def images() -> None:
        nonlocal place
        for _ in range(count):
            transform(Image.open(files[place % len(files)]).convert("RGB"))
            place += 1

    return images


def lightly_views(files: list[Path], count: int) -> Work:
    """lightly's transform with its defaults, and eight small crops."""
    from lightly.transforms.dino_transform import DINOTransform

    return each(files, count, DINOTransform(n_local_views=LOCALS[0]))


def stable_views(files: list[Path], count: int) -> Work:
    """DINO's views composed of stable-pretraining's transforms, of Pillow images as its data sets give them."""
    from stable_pretraining.data import transforms as t

    def view(size: int, scale: tuple[float, float], blur: float, solarize: float) -> object:
        return t.Compose(
            t.RandomResizedCrop(size, scale, interpolation=3),
            t.RandomHorizontalFlip(0.5),
            t.ColorJitter(0.4, 0.4, 0.2, 0.1, p=0.8),
            t.RandomGrayscale(0.2),
            t.PILGaussianBlur(p=blur),
            t.RandomSolarize(128, p=solarize),
            t.ToImage(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        )

    large, small = (0.4, 1.0), (0.05, 0.4)
    views = [view(224, large, 1.0, 0.0), view(224, large, 0.1, 0.2), *[view(96, small, 0.5, 0.0)] * LOCALS[0]]
    several = t.MultiViewTransform(views)
    return each(files, count, lambda image: several({"image": image}))


def sslkit_views(files: list[Path], count: int, pixels: str) -> Work:
    """Multi-crop with its defaults."""
    from sslkit.data.loading import AugmentedImages
    from sslkit.engine.build import dataset
    from sslkit.engine.construct import construct
    from sslkit.recipe.load import load_recipe
    from sslkit.recipe.overrides import overrides_from

    data = {"name": "image_folder", "root": str(files[0].parents[2])}
    recipe = load_recipe("dino_vits16", overrides_from({"data": data, "augment.pixels": pixels}))
    images = dataset(recipe.data).split("train")
    assert images is not None
    views = AugmentedImages(images, construct(recipe.augment, {"channels": 3}), 3, 0)
    place = 0

    def some() -> None:
        nonlocal place
        for _ in range(count):
            views[0, place % len(images)]
            place += 1

    return some


def main() -> None:
    """Build, warm up, and answer."""
    side, folder, batch, out_dim = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    files = sorted(folder.rglob("*.jpg"))
    works = {
        "lightly": (lightly_step, lightly_views),
        "stable-pretraining": (stable_step, stable_views),
        "sslkit": (sslkit_step, partial(sslkit_views, pixels="fast")),
        "sslkit exact": (sslkit_step, partial(sslkit_views, pixels="exact")),
    }
    step, views = works[side]
    work: dict[str, Work] = {"step": step(batch, out_dim), "pipeline": views(files, int(sys.argv[5]))}
    for one in work.values():
        one()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.process_time()
        work[line.strip()]()
        print("took", time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
