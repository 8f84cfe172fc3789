"""A training of the reference DINO, replayed by the engine from a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sslkit.parts import Backbone, Position
from sslkit.testing import Agreement, agreement, replay
from sslkit_dino.golden_weights import gradient_row, ours, silent, weight_row

Golden = Mapping[str, np.ndarray]


def training_rows(golden: Golden) -> list[Agreement]:
    """Schedules, first outputs and gradients, every loss and center, final weights, and the trained net's features."""
    if "losses" not in golden:
        return []
    rows = _first_gradients(golden)
    found: dict[str, list[Any]] = {key: [] for key in ("loss", "center", "norms", "lr", "weight_decay", "momentum")}
    total, iters = len(golden["losses"]), int(golden["config/iters"])
    temperatures: dict[int, float] = {}
    run = None
    start = _start(golden)
    for step, (run, report) in enumerate(replay(golden_recipe(golden), start, _views(golden), iters)):
        at = Position(step, total, iters)
        found["loss"].append(float(report.tensors["loss"]))
        found["center"].append(run.losses["dino"].get_buffer("center").reshape(-1).clone())
        found["norms"].append(report.norms.double())
        for rate in ("lr", "weight_decay"):
            found[rate].append(report.numbers[rate])
        found["momentum"].append(cast(Any, run.rule).momentum(at))
        temperatures[at.epoch] = cast(Any, run.losses["dino"]).temperature(at.epoch)
        if step == 0:
            rows = [*_first_outputs(golden, report.student, report.teacher), *rows]
            columns = [name for name, p in run.student.named_parameters() if p.requires_grad]
    assert run is not None, "a golden training has steps"
    rows += [
        agreement("learning rate, every step", np.array(found["lr"]), golden["lr"], 1e-12),
        agreement("weight decay, every step", np.array(found["weight_decay"]), golden["wd"], 1e-12),
        agreement("teacher momentum, every step", np.array(found["momentum"]), golden["momentum"], 1e-12),
        agreement(
            "teacher temperature, every epoch", np.array([*temperatures.values()]), golden["teacher_temp"], 1e-12
        ),
        agreement("loss, every step", np.array(found["loss"]), golden["losses"]),
        agreement("center, every step", torch.stack(found["center"]), golden["centers"]),
        _clip_norms(golden, torch.stack(found["norms"]).numpy(), columns),
    ]
    for group, net in (("final_student", run.student), ("final_teacher", run.teacher)):
        assert net is not None, "the recipe has a teacher"
        rows.append(weight_row(golden, group, net.state_dict()))
    return rows + _probe(golden, run.student)


def golden_recipe(golden: Golden) -> dict[str, Any]:
    """The recipe of a golden training, from its ``config/*``."""
    c = {key.removeprefix("config/"): value.item() for key, value in golden.items() if key.startswith("config/")}
    vit = {"dim": c["dim"], "depth": c["depth"], "heads": c["heads"], "patch_size": c["patch"], "drop_path_rate": 0.0}
    return {
        "data": {"name": "synthetic"},
        "preprocess": {"size": c["img"]},
        "augment": {
            "name": "multicrop", "local_crops": c["n_local"], "global_size": c["img"], "local_size": c["loc"],
        },
        "backbone": {"name": "vit", **vit},
        "head": {
            "name": "dino", "out_dim": c["out"], "hidden_dim": c["hid"], "bottleneck_dim": c["bot"],
            "use_bn": bool(c["bn"]), "norm_last_layer": bool(c["norm_last"]), "freeze_last_layer_epochs": c["freeze"],
        },
        "teacher": {"name": "ema", "momentum": {"cosine": [c["m"], 1.0]}},
        "loss": {
            "name": "dino", "teacher_temp": c["t"], "warmup_teacher_temp": c["t_warm"],
            "warmup_teacher_temp_epochs": c["t_epochs"],
        },
        "optimizer": {
            "name": "adamw",
            "lr": {"cosine": [c["lr"], c["min_lr"], c["warmup"]]},
            "weight_decay": {"cosine": [c["wd"], c["wd_end"]]},
        },
        "clip": {"name": "per_tensor", "max_norm": c["clip"]} if c["clip"] else None,
        "train": {"epochs": c["epochs"], "batch_size": c["batch"], "lr_per_images": None},
    }  # fmt: skip


def _start(golden: Golden) -> dict[str, dict[str, Tensor]]:
    """The initial weights of both nets, with what BatchNorm starts with where the file leaves it out."""
    weights = {
        ours(key.removeprefix("init/")): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith("init/")
    }
    for key in [key for key, value in weights.items() if key.startswith("head.mlp.") and value.ndim == 1]:
        norm = key.rpartition(".")[0]
        if f"{norm}.weight" in weights and weights[f"{norm}.weight"].ndim == 1:
            weights.setdefault(f"{norm}.running_mean", torch.zeros_like(weights[f"{norm}.weight"]))
            weights.setdefault(f"{norm}.running_var", torch.ones_like(weights[f"{norm}.weight"]))
            weights.setdefault(f"{norm}.num_batches_tracked", torch.tensor(0))
    return {"student": weights, "teacher": weights}


def _views(golden: Golden) -> list[dict[str, Tensor]]:
    ids = ["global0", "global1", *(f"local{i}" for i in range(int(golden["config/n_local"])))]
    return [
        {view: torch.from_numpy(golden[f"step{step}/view{row}"]).float() for row, view in enumerate(ids)}
        for step in range(len(golden["losses"]))
    ]


def _first_outputs(golden: Golden, student: Any, teacher: Any) -> list[Agreement]:
    return [
        agreement(f"{net}'s outputs, step 0", torch.cat(list(outputs.projections.values())), golden[f"{net}_out0"])
        for net, outputs in (("student", student), ("teacher", teacher))
    ]


def _first_gradients(golden: Golden) -> list[Agreement]:
    """Of step 0, from a run without clipping and with no layer frozen: its gradients stay as backward left them."""
    recipe = golden_recipe(golden)
    recipe |= {"clip": None, "head": recipe["head"] | {"freeze_last_layer_epochs": 0}}
    for run, _ in replay(recipe, _start(golden), _views(golden)[:1], int(golden["config/iters"])):
        found = {name: p.grad for name, p in run.student.named_parameters() if p.grad is not None}
        return [gradient_row(golden, found)]
    raise AssertionError("a golden training has steps")


def _clip_norms(golden: Golden, found: np.ndarray, columns: list[str]) -> Agreement:
    """Relative to the largest norm of each tensor; the columns are in the order of the file's gradients."""
    names = [ours(key.removeprefix("grad0/")) for key in golden if key.startswith("grad0/")]
    if sorted(names) != sorted(columns) or found.shape != golden["clip_norms"].shape:
        return Agreement("gradient norms: of other tensors", math.inf, 1e-5)
    worst = 0.0
    for column, name in enumerate(names):
        wanted = golden["clip_norms"][:, column]
        if not silent(golden, name):
            difference = np.abs(found[:, columns.index(name)] - wanted).max() / max(wanted.max(), 1e-30)
            worst = max(worst, float(difference))
    return Agreement("gradient norms before clipping, every step", worst, 1e-5, "of the tensor's largest")


@torch.no_grad()
def _probe(golden: Golden, student: nn.Module) -> list[Agreement]:
    """What the trained student's backbone makes of images, in eval mode.

    A bias whose exact gradient is zero is noise on both sides, and here it shows: the file's own is taken.
    """
    for name, parameter in student.named_parameters():
        plain = name.replace("backbone.net.", "backbone.", 1)
        if silent(golden, plain):
            parameter.copy_(torch.from_numpy(golden[f"final_student/{plain}"]))
    backbone = cast(Backbone, student.get_submodule("backbone")).eval()
    images = torch.from_numpy(golden["probe/image"]).float()
    last = [
        torch.cat([tokens.cls[:, None], cast(Tensor, tokens.patches)], 1) for tokens in backbone.intermediate(images, 2)
    ]
    rect = torch.from_numpy(golden["probe/rect_image"]).float()
    return [
        agreement("probe: feature", backbone(images).cls, golden["probe/cls_feature"]),
        agreement("probe: attention of the last block", backbone.attention(images), golden["probe/last_attention"]),
        agreement("probe: tokens of the last two blocks", torch.stack(last), golden["probe/last2_layers"]),
        agreement("probe: feature of a non-square image", backbone(rect).cls, golden["probe/rect_cls_feature"]),
    ]
