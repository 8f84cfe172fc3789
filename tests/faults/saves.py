"""Killed at any line of a save: a whole checkpoint is there, and nothing is left beside it."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from faults.suite import Suite
from forked import fork, wait
from sslkit.engine import checkpoint, files
from sslkit.engine.checkpoint import CheckpointStore, weights_of

_TRACED = {checkpoint.__file__, files.__file__}
#: Lines of the two modules that a save runs through, and a few more: the kill then comes after it.
_LINES = 150


def save(folder: Path, step: int) -> None:
    """Save a net whose weights tell the step."""
    net = nn.Linear(8, 8)
    nn.init.constant_(net.weight, step)
    CheckpointStore(folder).save(weights_of({"student": net}), {"optimizer": {"step": step}}, {"step": step}, None)


def _save_and_die(folder: Path, step: int, lines: int) -> int:
    left = lines

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in _TRACED:
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    save(folder, step)
    return 0


def case(number: int, folder: Path) -> None:
    """Three checkpoints, a fourth that is killed in the middle (every third time: the third one anew), a repair."""
    draw = random.Random(number)
    for step in (1, 2, 3):
        save(folder, step)
    last = 3 if number % 3 == 0 else 4
    code = wait(fork(lambda: _save_and_die(folder, last, draw.randint(1, _LINES)), folder.parent / "log.txt"))
    assert code in (0, -signal.SIGKILL), code
    store = CheckpointStore(folder)
    store.repair()
    found = store.newest()
    assert found is not None
    assert found.state["step"] in ((4,) if code == 0 and last == 4 else (3, 4))
    assert torch.all(found.weights["student/weight"] == found.state["step"])
    names = sorted(path.name for path in folder.iterdir())
    assert all(name.startswith("step-") for name in names), names
    assert len(names) >= 2


SUITE = Suite(
    "saves", "killed at any line of a save: none loses a checkpoint, no temporary file is left", 400, 40, case
)
