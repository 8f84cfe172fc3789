"""Truncated and bit-flipped checkpoints: detected, kept aside, and the older one is taken."""

from __future__ import annotations

import random
from pathlib import Path

from faults.saves import save
from faults.suite import Suite
from sslkit.engine.checkpoint import CheckpointStore

_FILES = ("weights.safetensors", "optimizer.pt", "state.json", "manifest.json")


def case(number: int, folder: Path) -> None:
    """Damage one file of the newer of two checkpoints: every fifth time cut, else one bit."""
    draw = random.Random(number)
    for step in (1, 2):
        save(folder, step)
    file = folder / "step-00000002" / draw.choice(_FILES)
    before = file.read_bytes()
    if number % 5 == 0:
        after = before[: draw.randrange(len(before))]
    else:
        at = draw.randrange(len(before))
        after = before[:at] + bytes([before[at] ^ (1 << draw.randrange(8))]) + before[at + 1 :]
    file.write_bytes(after)
    store = CheckpointStore(folder)
    store.repair()
    found = store.newest()
    assert found is not None
    if file.name == "manifest.json" and found.state["step"] == 2:
        # a bit of its white space or of a letter's case in a digest: then it says what it said
        assert number % 5
        return
    assert found.state["step"] == 1
    assert (folder / "damaged-step-00000002").is_dir()


SUITE = Suite("damage", "cut and bit-flipped checkpoints: all detected, the older one is taken", 2500, 60, case)
