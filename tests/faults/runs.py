"""Small recipes of every method and teacher rule, and what one run of each is, for comparison."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from forked import fork, sslkit_main, wait
from tiny_methods import METHODS, tiny_method
from tiny_run import TINY, assert_equal_runs

_TEACHERS = ("polyak", "frozen_epoch", "previous_step", "student_copy")
_KNN = {"evaluate": {"knn": {"k": [5], "every": 1}}, "watch": {"progress": None}}

#: One recipe each: two epochs of eleven steps, a checkpoint after every fifth.
RECIPES: dict[str, dict[str, Any]] = (
    {"dino": TINY}
    | {f"dino {rule}": TINY | {"teacher": {"name": rule}} for rule in _TEACHERS}
    | {name: tiny_method(name, batch_norm=True) | _KNN for name in METHODS}
)


def words(recipe: Path, out: Path, *more: str) -> tuple[str, ...]:
    """Of a run that loads in its own process."""
    return ("fit", "--recipe", str(recipe), "--out", str(out), "--train.threads", "1", *more)


class Whole:
    """Uninterrupted runs, each made once in a folder, with the seconds that it took.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recipe(self, name: str) -> Path:
        """The file of a recipe."""
        file = self.folder / f"{name.replace(' ', '_')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(RECIPES[name]))
        return file

    def run(self, name: str) -> tuple[Path, float]:
        """Its run folder and seconds."""
        out = self.folder / name.replace(" ", "_")
        note = out / "seconds.txt"
        if not note.is_file():
            began = time.monotonic()
            code = wait(fork(sslkit_main(*words(self.recipe(name), out)), self.folder / "log.txt"))
            assert code == 0, (self.folder / "log.txt").read_text()
            note.write_text(str(time.monotonic() - began))
        return out, float(note.read_text())


def assert_equal(one: Path, other: Path) -> None:
    """Weights, buffers, optimizer, CSV and TensorBoard of two runs are bit by bit the same, times aside."""
    assert_equal_runs(one, other)
    first, second = _optimizer(one), _optimizer(other)
    _assert_same(first, second, "optimizer")
    pd.testing.assert_frame_equal(_events(one), _events(other), check_exact=True)


def _optimizer(run: Path) -> Any:
    newest = max(path for path in (run / "checkpoints").iterdir() if path.name.startswith("step-"))
    return torch.load(newest / "optimizer.pt", weights_only=True)


def _assert_same(one: Any, other: Any, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            _assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, value in enumerate(one):
            _assert_same(value, other[index], f"{where}.{index}")
    else:
        assert one == other, where


def _events(run: Path) -> pd.DataFrame:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    rows = [
        (tag, event.step, event.value)
        for tag in sorted(events.Tags()["scalars"]) if not tag.startswith("time/")
        for event in events.Scalars(tag)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["tag", "step", "value"]).sort_values(["tag", "step"], ignore_index=True)
