"""A grid of runs that take seconds, and how tests run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tiny_run import TINY_VIT

#: A run of a few steps with a number at the end; its net needs no slow import.
SHORT = TINY_VIT | {
    "backbone": {"name": "small_convnet", "widths": [8, 16]},
    "train": {"epochs": 1, "batch_size": 64, "lr_per_images": None, "workers": 0, "threads": 1},
    "evaluate": {"knn": {"k": [5]}},
    "watch": {"tensorboard": None},
}
METRIC = "teacher/knn/k5_top1"


def grid_file(folder: Path, **changes: object) -> Path:
    (folder / "short.yaml").write_text(yaml.safe_dump(SHORT))
    file = folder / "grid.yaml"
    grid = {"recipe": "short.yaml", "axes": {"teacher": ["ema", "student_copy"]}, "seeds": 2, "metrics": [METRIC]}
    file.write_text(yaml.safe_dump(grid | changes))
    return file


def command(file: Path, out: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "sslkit", "ablate", "--recipe", str(file), "--out", out, "--jobs", "2", *more]


def run(folder: Path, words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False)
