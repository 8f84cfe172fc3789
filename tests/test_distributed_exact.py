"""Two real gloo ranks against one with the whole batch, in float64: what differs is an error, not rounding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from test_distributed import torchrun_command
from tiny_methods import METHODS, tiny_method
from tiny_run import TINY, TINY_VIT, environment

SCRIPT = """
import os, sys
import torch, torch.distributed as dist
import yaml
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
import sslkit.engine.run as engine_run
from sslkit.data.batch import Batch
from sslkit.engine.build import Length, build_run
from sslkit.engine.step import training_step
from sslkit.parts import Position, mean_over_ranks, rank, world_size
from sslkit.recipe.load import load_recipe


in_float32 = engine_run.normalize
engine_run.normalize = lambda pixels, preprocess: in_float32(pixels, preprocess).double()


def train(recipe):
    recipe = load_recipe(recipe)
    run = build_run(recipe, Length(4, 8), 10, torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    logged = []
    share = recipe.train.batch_size // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    for step in range(8):
        pixels = {}
        for size in dict.fromkeys(view.size for view in run.augmenter.views):
            count = sum(view.size == size for view in run.augmenter.views)
            shape = (count, recipe.train.batch_size, 3, size, size)
            pixels[size] = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)[:, mine]
        labels = torch.randint(0, 10, (recipe.train.batch_size,), generator=draw)
        report = training_step(run, Batch(pixels, torch.arange(share), labels[mine]), Position(step, 8, 4))
        logged.append({name: float(mean_over_ranks(value)) for name, value in report.tensors.items()})
    parts = run.modules().items()
    state = {f"{part}/{name}": value for part, module in parts for name, value in module.state_dict().items()}
    assert all(value.dtype != torch.float32 for value in state.values()), "not in float64"
    return {"state": state, "logged": logged}


if "RANK" in os.environ:
    dist.init_process_group("gloo")
found = {name: train(recipe) for name, recipe in yaml.safe_load(open("recipes.yaml")).items()}
if rank() == 0:
    torch.save(found, "found.pt")
if dist.is_initialized():
    # nothing of the run is alive any more: DDP must not outlive its process group
    dist.destroy_process_group()
# torch's own threads now and then abort the interpreter's end: what was to be computed is written
os._exit(0)
"""

RECIPES: dict[str, dict[str, Any]] = {
    "vit": TINY_VIT | {
        "augment": {"name": "multicrop", "local_crops": 2, "global_size": 16, "local_size": 8},
        "clip": {"name": "per_tensor", "max_norm": 0.3},
        "optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.04},
    },
    "batchnorm_in_backbone_and_head": TINY | {
        "train": TINY["train"] | {"batch_size": 8},  # type: ignore[operator]
        # AdamW would make steps of the noise that gradients of zero have, in front of every BatchNorm
        "optimizer": {"name": "sgd", "lr": 0.05, "weight_decay": 1e-4},
        "clip": {"name": "per_tensor", "max_norm": 1.0},
    },
    "sinkhorn": TINY_VIT | {"loss": {"name": "dino", "centering": "sinkhorn"}},
} | {name: tiny_method(name) for name in METHODS} | {
    # unclipped, gradients of norm 300 throw it about, and its eight steps make eight digits of their rounding
    "mocov3": tiny_method("mocov3") | {"clip": {"name": "per_tensor", "max_norm": 0.1}},
}  # fmt: skip


def trained(ranks: int, folder: Path) -> dict[str, Any]:
    """Every recipe's state and logs after eight steps, in the same processes: they take longer to start than to run."""
    (folder / "script.py").write_text(SCRIPT)
    (folder / "recipes.yaml").write_text(yaml.safe_dump(RECIPES))
    command = torchrun_command(ranks, "script.py") if ranks > 1 else [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = torch.load(folder / "found.pt", weights_only=True)
    return found


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(1, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(2, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("name", RECIPES)
def test_two_ranks_are_one_rank_with_twice_the_batch(
    name: str, one_rank: dict[str, Any], two_ranks: dict[str, Any]
) -> None:
    one, two = one_rank[name], two_ranks[name]
    assert one["state"].keys() == two["state"].keys()
    assert any("center" in key for key in one["state"]) == (name not in METHODS)
    for key, value in one["state"].items():
        torch.testing.assert_close(two["state"][key], value, rtol=1e-6, atol=1e-9, msg=lambda text, key=key: key + text)
    for ours, theirs in zip(two["logged"], one["logged"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
