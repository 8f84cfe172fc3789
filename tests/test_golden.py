"""The engine's own step, built from a recipe, against what the reference DINO computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sslkit.parts import Position
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.testing import replay

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def recipe_of(golden: dict[str, np.ndarray]) -> Recipe:
    c = {key.removeprefix("config/"): value.item() for key, value in golden.items() if key.startswith("config/")}
    return load_recipe(
        {
            "data": {"name": "synthetic"},
            "preprocess": {"size": c["img"]},
            "augment": {
                "name": "multicrop", "local_crops": c["n_local"], "global_size": c["img"], "local_size": c["loc"],
            },
            "backbone": {
                "name": "vit", "dim": c["dim"], "depth": c["depth"], "heads": c["heads"], "patch_size": c["patch"],
                "drop_path_rate": 0.0,
            },
            "head": {
                "name": "dino", "out_dim": c["out"], "hidden_dim": c["hid"], "bottleneck_dim": c["bot"],
                "use_bn": c["bn"], "norm_last_layer": c["norm_last"], "freeze_last_layer_epochs": c["freeze"],
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
        }
    )  # fmt: skip


def ours(name: str) -> str:
    return name.replace("backbone.", "backbone.net.", 1) if name.startswith("backbone.") else name


def weights_of(golden: dict[str, np.ndarray], group: str) -> dict[str, torch.Tensor]:
    return {
        ours(key.removeprefix(f"{group}/")): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith(f"{group}/")
    }


def views_of(golden: dict[str, np.ndarray], step: int) -> dict[str, torch.Tensor]:
    locals_ = int(golden["config/n_local"])
    ids = ["global0", "global1", *(f"local{i}" for i in range(locals_))]
    return {view: torch.from_numpy(golden[f"step{step}/view{row}"]).float() for row, view in enumerate(ids)}


def test_engine_agrees_with_the_reference_over_the_whole_run(golden: dict[str, np.ndarray]) -> None:
    torch.set_num_threads(1)
    recipe = recipe_of(golden)
    total = len(golden["losses"])
    iters = int(golden["config/iters"])
    initial = weights_of(golden, "init")
    clip_columns = [ours(key.removeprefix("grad0/")) for key in golden if key.startswith("grad0/")]
    steps = [views_of(golden, step) for step in range(total)]
    run = None
    scale = np.abs(golden["losses"]).max()
    for step, (run, report) in enumerate(replay(recipe, {"student": initial, "teacher": initial}, steps, iters)):
        assert abs(float(report.tensors["loss"]) - golden["losses"][step]) < 1e-5 * scale
        center = run.losses["dino"].center.numpy().reshape(-1)
        assert np.abs(center - golden["centers"][step]).max() < 1e-5 * np.abs(golden["centers"]).max()
        assert report.numbers["lr"] == pytest.approx(golden["lr"][step], rel=1e-12)
        assert report.numbers["weight_decay"] == pytest.approx(golden["wd"][step], rel=1e-12)
        at = Position(step, total, iters)
        assert run.rule.momentum(at) == pytest.approx(golden["momentum"][step], rel=1e-12)
        names = [name for name, p in run.student.named_parameters() if p.requires_grad]
        assert sorted(names) == sorted(clip_columns)
        if step == 0:
            outputs = torch.cat(list(report.student.projections.values()))
            assert torch.allclose(outputs, torch.from_numpy(golden["student_out0"]), atol=1e-5)
            targets = torch.cat(list(report.teacher.projections.values()))
            assert torch.allclose(targets, torch.from_numpy(golden["teacher_out0"]), atol=1e-5)
    assert run is not None
    # AdamW turns the rounding noise of the key biases, whose gradient is exactly zero, into steps of up to lr
    noise = float(golden["lr"].sum())
    for group, net in (("final_student", run.student), ("final_teacher", run.teacher)):
        state = net.state_dict()
        for name, wanted in weights_of(golden, group).items():
            moved, difference = wanted - initial[name], state[name] - wanted
            if name.endswith("qkv.bias"):
                third = len(difference) // 3
                assert difference[third : 2 * third].abs().max() < noise
                moved, difference = (torch.cat([t[:third], t[2 * third :]]) for t in (moved, difference))
            # besides, each step may round the weight itself
            rounding = 2.0**-24 * wanted.norm() * total**0.5
            assert difference.norm() <= 1e-5 * moved.norm() + rounding, (group, name)


def test_first_gradients_agree_before_clipping(golden: dict[str, np.ndarray]) -> None:
    recipe = recipe_of(golden)
    from dataclasses import replace

    initial = weights_of(golden, "init")
    unclipped = replace(recipe, clip=None)
    seen = {}

    class Catch(Exception):
        pass

    def catch(at: Position, student: torch.nn.Module) -> None:
        seen.update({name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None})
        raise Catch

    from sslkit.engine import build

    run = build.build_run(
        replace(unclipped, preprocess=replace(recipe.preprocess, mean=(0.0,) * 3, std=(1.0,) * 3)),
        build.Length(int(golden["config/iters"]), len(golden["losses"])), None, torch.device("cpu"),
    )  # fmt: skip
    run.student.load_state_dict(initial)
    run.teacher.load_state_dict(initial)
    from sslkit.engine.step import training_step
    from sslkit.testing.replay import _batch

    run.acting.call = lambda _hook, at, student: catch(at, student)  # type: ignore[method-assign]
    with pytest.raises(Catch):
        training_step(run, _batch(run, views_of(golden, 0)), Position(0, len(golden["losses"]), 3))
    for key, wanted in golden.items():
        if key.startswith("grad0/"):
            name = ours(key.removeprefix("grad0/"))
            difference = np.linalg.norm(seen[name].numpy() - wanted)
            if name.endswith("qkv.bias"):
                continue
            assert difference <= 1e-5 * np.linalg.norm(wanted) + 1e-9, name
