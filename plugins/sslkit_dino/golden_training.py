"""A training of the reference DINO, replayed by the engine from a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sslkit.parts import Backbone, Position
from sslkit.testing import replay
from sslkit_dino.golden_names import Golden, names_below, ours, silent, step_count

Views = list[dict[str, Tensor]]


def replayed(golden: Golden, views: Views) -> dict[str, np.ndarray]:
    """What sslkit computes from a golden file's configuration and weights, under the file's own names.

    Args:
        golden: the file.
        views: for each step the normalised images of each view.
    """
    start, iters, total = _start(golden), int(golden["config/iters"]), step_count(golden)
    found: dict[str, list[Any]] = {key: [] for key in ("losses", "centers", "clip_norms", "lr", "wd", "momentum")}
    temperatures: dict[int, float] = {}
    out = _first_gradients(golden, start, views[:1])
    run = None
    for step, (run, report) in enumerate(replay(golden_recipe(golden), start, views, iters)):
        at = Position(step, total, iters)
        found["losses"].append(float(report.tensors["loss"]))
        found["centers"].append(run.losses["dino"].get_buffer("center").reshape(-1).numpy().copy())
        trained = [name for name, p in run.student.named_parameters() if p.requires_grad]
        norms = dict(zip(trained, report.norms.tolist(), strict=True))
        found["clip_norms"].append([norms.get(ours(name), np.nan) for name in names_below(golden, "grad0/")])
        found["lr"].append(report.numbers["lr"])
        found["wd"].append(report.numbers["weight_decay"])
        found["momentum"].append(cast(Any, run.rule).momentum(at))
        temperatures[at.epoch] = cast(Any, run.losses["dino"]).temperature(at.epoch)
        if step == 0:
            for net, outputs in (("student", report.student), ("teacher", report.teacher)):
                out[f"{net}_out0"] = torch.cat(list(cast(Any, outputs).projections.values())).numpy().copy()
    assert run is not None, "a golden training has steps"
    out |= {key: np.array(values) for key, values in found.items()}
    out["teacher_temp"] = np.array([*temperatures.values()])
    for group, net in (("final_student", run.student), ("final_teacher", run.teacher)):
        state = cast(nn.Module, net).state_dict()
        names = [name for name in names_below(golden, f"{group}/") if ours(name) in state]
        out |= {f"{group}/{name}": state[ours(name)].numpy().copy() for name in names}
    return out | _probe(golden, run.student)


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
        "clip": {"name": "per_tensor", "max_norm": c["clip"]} if c.get("clip") else None,
        "train": {"epochs": c["epochs"], "batch_size": c["batch"], "lr_per_images": None},
    }  # fmt: skip


def stored_views(golden: Golden) -> Views:
    """The file's views of every step."""
    ids = ["global0", "global1", *(f"local{i}" for i in range(int(golden["config/n_local"])))]
    return [
        {view: torch.from_numpy(golden[f"step{step}/view{row}"]).float() for row, view in enumerate(ids)}
        for step in range(step_count(golden))
    ]


def shaken(views: Views, times: int) -> Iterator[Views]:
    """The views with the last bit of every number moved up or down at random, this many times."""
    for seed in range(times):
        draw = torch.Generator().manual_seed(seed)
        yield [
            {
                view: x * (1 + 2.0**-23 * (2 * torch.randint(0, 2, x.shape, generator=draw) - 1))
                for view, x in step.items()
            }
            for step in views
        ]


def _start(golden: Golden) -> dict[str, dict[str, Tensor]]:
    """The initial weights of both nets, with what BatchNorm starts with where the file leaves it out."""
    weights = {ours(name): torch.from_numpy(golden[f"init/{name}"]) for name in names_below(golden, "init/")}
    for key in [key for key, value in weights.items() if key.startswith("head.mlp.") and value.ndim == 1]:
        norm = key.rpartition(".")[0]
        if f"{norm}.weight" in weights and weights[f"{norm}.weight"].ndim == 1:
            weights.setdefault(f"{norm}.running_mean", torch.zeros_like(weights[f"{norm}.weight"]))
            weights.setdefault(f"{norm}.running_var", torch.ones_like(weights[f"{norm}.weight"]))
            weights.setdefault(f"{norm}.num_batches_tracked", torch.tensor(0))
    return {"student": weights, "teacher": weights}


def _first_gradients(golden: Golden, start: Mapping[str, Mapping[str, Tensor]], views: Views) -> dict[str, np.ndarray]:
    """Of step 0, from a run without clipping and with no layer frozen: its gradients stay as backward left them."""
    recipe = golden_recipe(golden)
    recipe |= {"clip": None, "head": recipe["head"] | {"freeze_last_layer_epochs": 0}}
    for run, _ in replay(recipe, start, views, int(golden["config/iters"])):
        found = {name: p.grad.numpy().copy() for name, p in run.student.named_parameters() if p.grad is not None}
        return {f"grad0/{name}": found[ours(name)] for name in names_below(golden, "grad0/") if ours(name) in found}
    raise AssertionError("a golden training has steps")


@torch.no_grad()
def _probe(golden: Golden, student: nn.Module) -> dict[str, np.ndarray]:
    """What the trained student's backbone makes of images, in eval mode.

    A bias whose exact gradient is zero is noise on both sides, and here it shows: the file's own is taken.
    """
    for name, parameter in student.named_parameters():
        plain = name.replace("backbone.net.", "backbone.", 1)
        if silent(golden, plain) and f"final_student/{plain}" in golden:
            parameter.copy_(torch.from_numpy(golden[f"final_student/{plain}"]))
    backbone = cast(Backbone, student.get_submodule("backbone")).eval()
    found: dict[str, np.ndarray] = {}
    if "probe/image" in golden:
        images = torch.from_numpy(golden["probe/image"]).float()
        blocks = backbone.intermediate(images, 2)
        last = [torch.cat([tokens.cls[:, None], cast(Tensor, tokens.patches)], 1) for tokens in blocks]
        found["probe/cls_feature"] = backbone(images).cls.numpy()
        found["probe/last_attention"] = backbone.attention(images).numpy()
        found["probe/last2_layers"] = torch.stack(last).numpy()
    if "probe/rect_image" in golden:
        rect = torch.from_numpy(golden["probe/rect_image"]).float()
        found["probe/rect_cls_feature"] = backbone(rect).cls.numpy()
    return found
