"""What the reference DINO's optimizer and augmentation computed, against this set's own parts."""

from __future__ import annotations

import PIL.Image
import torch

from sslkit.parts import Preprocess, ViewSpec
from sslkit.testing import Sheet
from sslkit_vision.lars import LayerwiseSGD
from sslkit_vision.multicrop import MultiCrop


def compare_vision(sheet: Sheet) -> None:
    """Compare every quantity that the file has inputs for."""
    if "lars/init0" in sheet.golden:
        _lars(sheet)
    if "augment/source" in sheet.golden:
        _augmentation(sheet)


def _lars(sheet: Sheet) -> None:
    """Four steps at rate 0.3, weight decay 0.01, momentum 0.9, trust 0.001 (the file's README)."""
    golden = sheet.golden
    count = sum(key.startswith("lars/init") for key in golden)
    weights = [torch.nn.Parameter(torch.from_numpy(golden[f"lars/init{i}"].copy())) for i in range(count)]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "lr": 0.3, "weight_decay": 0.01, "trust": True},
        {"params": [w for w in weights if w.ndim == 1], "lr": 0.3, "weight_decay": 0.0, "trust": False},
    ]
    optimizer = LayerwiseSGD(groups, momentum=0.9, trust_coefficient=0.001)
    for step in range(sum(key.startswith("lars/grad") and key.endswith("_0") for key in golden)):
        for i, weight in enumerate(weights):
            weight.grad = torch.from_numpy(golden[f"lars/grad{step}_{i}"].copy())
        optimizer.step()
    for i, weight in enumerate(weights):
        sheet.compare(f"LARS: tensor {i} after its steps", weight, f"lars/final{i}")


def _augmentation(sheet: Sheet) -> None:
    """Every view with its draws given: the pixels, and the normalised tensor."""
    golden = sheet.golden
    count = sum(key.endswith("/size") and key.startswith("augment/v") for key in golden)
    for i in range(count):
        stored = {key.removeprefix(f"augment/v{i}/"): value for key, value in golden.items()}
        factors = stored["brightness_contrast_saturation_hue"].tolist()
        draws = {
            "rotation": 0.0, "noise_seed": 0, "box": stored["box_top_left_height_width"].tolist(),
            "flip": bool(stored["flip"]), "jitter": bool(stored["jitter"]), "order": stored["order"].tolist(),
            **dict(zip(("brightness", "contrast", "saturation", "hue"), factors, strict=True)),
            "gray": bool(stored["gray"]), "blur_radius": float(stored["blur_radius"]),
            "solarize": bool(stored["solarize"]),
        }  # fmt: skip
        size = int(stored["size"])
        image = PIL.Image.fromarray(golden["augment/source"])
        pixels = MultiCrop(channels=3, pixels="exact").render(image, ViewSpec("global0", size), draws)
        shown = pixels.permute(1, 2, 0)
        sheet.compare(f"augmentation: pixels of view {i}", shown, f"augment/v{i}/uint8", 0.0)
        sheet.compare(f"augmentation: tensor of view {i}", _normalised(pixels), f"augment/v{i}/tensor")


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    usual = Preprocess()
    mean, std = (torch.tensor(values)[:, None, None] for values in (usual.mean, usual.std))
    return (pixels.float() / 255 - mean) / std
