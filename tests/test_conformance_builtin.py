"""Every built-in part passes the conformance kit."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mask_datasets import davis, voc
from sslkit.testing import Check, plugin_checks
from test_evaluators_copy_detection import copydays
from test_evaluators_retrieval import revisited

ROOT = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, ROOT)


def images(folder: Path, split: str) -> str:
    """Two classes of three images in ``train`` and in another split."""
    for which in ("train", split):
        for number, name in enumerate(("cat", "dog")):
            place = folder / which / name
            place.mkdir(parents=True)
            for index in range(3):
                pixels = np.random.default_rng([number, index]).integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.JPEG")
    return str(folder)


DATA = {
    "dataset:image_folder": {"root": images(ROOT / "folder", "test")},
    "dataset:imagenet": {"root": images(ROOT / "imagenet", "val")},
    "dataset:synthetic": {"images": 12},
}
NETS = {
    "backbone:vit": {"dim": 16, "depth": 1, "heads": 2},
    "backbone:timm": {"arch": "resnet10t"},
    "backbone:torchvision": {"arch": "resnet18"},
}
RATES = {
    "schedule:constant": {"value": 0.1},
    "schedule:cosine": {"start": 0.1, "end": 0.01},
    "schedule:linear": {"start": 0.1, "end": 0.01},
}
#: Archives that tests/test_vision_datasets.py makes; CIFAR's readers are torchvision's.
ARCHIVES = {f"dataset:{name}": "its files are not shipped" for name in ("cifar10", "cifar100", "fashion_mnist")}
METHODS = {
    "head:dino": {"out_dim": 16, "hidden_dim": 16, "bottleneck_dim": 8},
    "teacher:fixed": {"weights": "teacher.safetensors"},
    "loss:info_nce_queue": {"queue_length": 16},
    "loss:swav": {"queue_length": 8, "queue_from_epoch": 0},
}
EVALUATORS: dict[str, dict[str, Any]] = {
    "evaluator:knn": {"k": [3]},
    "evaluator:linear": {"epochs": 1, "batch_size": 10, "lrs": [0.01]},
    "evaluator:finetune": {"epochs": 1, "batch_size": 10, "warmup_epochs": 0},
    "evaluator:lowshot": {"shares": [], "per_class": [2], "iterations": 20},
    "evaluator:segmentation": {"root": str(voc(ROOT / "voc")), "size": None},
    "evaluator:video_segmentation": {"root": str(davis(ROOT / "davis")), "size": 32},
    "evaluator:copy_detection": {"root": str(copydays(ROOT / "copydays")), "size": 16},
    "evaluator:retrieval": {"root": str(revisited(ROOT / "revisited")), "size": 16},
}


@plugin_checks("sslkit_vision", {**DATA, **NETS, **RATES}, skip=ARCHIVES)
def test_parts_that_methods_share(check: Check) -> None:
    check()


@plugin_checks(
    [
        "sslkit_dino",
        "sslkit_contrastive",
        "sslkit_siamese",
        "sslkit_clustering",
        "sslkit_redundancy",
        "sslkit_supervised",
    ],
    METHODS,
)
def test_parts_of_methods(check: Check) -> None:
    check()


@plugin_checks("sslkit_evaluators", EVALUATORS)
def test_evaluators(check: Check) -> None:
    check()
