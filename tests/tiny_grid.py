"""A grid of runs that take seconds, and how tests run it."""

from __future__ import annotations

from pathlib import Path

import yaml

from forked import Sslkit
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


def ablate(file: Path, out: str, *more: str, jobs: int = 2, file_limit: int | None = None) -> Sslkit:
    """A runner of the grid in the folder of its file."""
    words = ("ablate", "--recipe", str(file), "--out", out, "--jobs", str(jobs), *more)
    return Sslkit(file.parent, *words, file_limit=file_limit)
