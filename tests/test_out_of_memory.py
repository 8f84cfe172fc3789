"""A step that memory does not suffice for."""

from __future__ import annotations

from pathlib import Path

import pytest

import sslkit
from sslkit.errors import RunError
from tiny_run import tiny

PLUGIN = '''
"""A loss that wants more memory than there is."""
import sslkit
import torch
from sslkit_dino.loss import DINOLoss

class Greedy(DINOLoss):
    """Allocates a petabyte at step 3."""
    def forward(self, student, teacher, views, at):
        if at.step == 3:
            torch.empty(10**15)
        return super().forward(student, teacher, views, at)

@sslkit.hookimpl
def sslkit_register(registry):
    registry.loss("greedy", Greedy)
'''


def test_it_is_told_with_batch_views_and_what_would_fit(tmp_path: Path) -> None:
    plugin = tmp_path / "greedy.py"
    plugin.write_text(PLUGIN)
    with pytest.raises(RunError) as raised:
        sslkit.fit(tiny(loss={"name": "greedy"}, evaluate={}), out=tmp_path / "run", plugins=plugin)
    told = str(raised.value)
    assert told.startswith(
        "out of memory at step 3, with 128 images of 2 views of 16 and 1 views of 8 pixels a process"
    )
    assert "train.micro_batches 2 computes it in parts of 64 images" in told
    assert "can't allocate memory" in told
