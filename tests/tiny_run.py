"""A run that trains for two epochs in seconds, and what is compared of two of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
import yaml
from safetensors.torch import load_file

from plain_environment import PLAIN

TINY = {
    "data": {"name": "digits"},
    "preprocess": {"size": 16},
    "augment": {"name": "multicrop", "local_crops": 1, "global_size": 16, "local_size": 8, "blur": [0.0, 0.0, 0.0]},
    "backbone": {"name": "small_convnet", "widths": [8, 16]},
    "head": {"name": "dino", "out_dim": 32, "hidden_dim": 16, "bottleneck_dim": 8, "use_bn": True},
    "teacher": {"name": "ema", "momentum": {"cosine": [0.9, 1.0]}},
    "loss": {"name": "dino"},
    "optimizer": {"name": "adamw", "lr": {"cosine": [0.001, 1e-6, 1]}, "weight_decay": 0.04},
    "train": {"epochs": 2, "batch_size": 128, "workers": 0, "lr_per_images": None, "log_every": 4},
    "checkpoint": {"every_steps": 5},
    "evaluate": {"knn": {"k": [5], "at_start": True, "which": ["teacher", "student"]}},
    "watch": {"progress": None},
}

#: A net without BatchNorm, and nothing to evaluate.
TINY_VIT = {
    "data": {"name": "digits"},
    "preprocess": {"size": 16},
    "augment": {"name": "multicrop", "local_crops": 0, "global_size": 16},
    "backbone": {"name": "vit", "dim": 16, "depth": 1, "heads": 2, "patch_size": 4, "drop_path_rate": 0.0},
    "head": {"name": "dino", "out_dim": 16, "hidden_dim": 16, "bottleneck_dim": 8, "freeze_last_layer_epochs": 0},
    "teacher": {"name": "ema", "momentum": 0.9},
    "loss": {"name": "dino"},
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0},
    "train": {"epochs": 2, "batch_size": 4, "lr_per_images": None},
}


def tiny(**sections: object) -> dict[str, object]:
    return {**TINY, **sections}


def write(folder: Path, recipe: dict[str, object]) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


def command(file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sslkit", "fit", "--recipe", str(file), *more]


def environment() -> dict[str, str]:
    return os.environ | PLAIN


def logged(folder: Path) -> pd.DataFrame:
    """All logged values but wall-clock ones."""
    table = pd.read_csv(folder / "metrics.csv")
    table = table[~table["name"].str.startswith("time/")]
    return table.sort_values(["step", "name"], kind="stable").reset_index(drop=True)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = max(path for path in (folder / "checkpoints").iterdir() if path.name.startswith("step-"))
    return load_file(newest / "weights.safetensors")


def assert_equal_runs(one: Path, other: Path) -> None:
    first, second = final_weights(one), final_weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    pd.testing.assert_frame_equal(logged(one), logged(other), check_exact=True)


def processes_below(parent: int, what: str) -> list[int]:
    """Processes below ``parent`` whose command line has ``what`` in it."""
    found = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    below, grew = {parent}, True
    while grew:
        more = {int(pid) for pid, above, _ in rows if int(above) in below} - below
        below, grew = below | more, bool(more)
    return [int(pid) for pid, _, words in rows if int(pid) in below and what in words]
