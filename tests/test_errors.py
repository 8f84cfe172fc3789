"""What is said, by whom, when something goes wrong in one of several processes."""

from __future__ import annotations

import pytest
import torch.distributed as dist

from sslkit.cli.main import _tell
from sslkit.errors import RunError, UserError, blame


@pytest.mark.parametrize(
    "error", [RuntimeError("[/gloo/tcp/pair.cc] Connection closed by peer"), dist.DistError("NCCL")]
)
def test_a_lost_process_is_not_the_fault_of_the_part_that_waited_for_it(error: Exception) -> None:
    with (
        pytest.raises(RunError, match="^another process of this run failed or was lost at step 7"),
        blame("x", "at step 7"),
    ):
        raise error


def test_a_part_that_fails_is_named() -> None:
    with (
        pytest.raises(RunError, match="^the loss 'x' failed at step 7: ValueError: no"),
        blame("the loss 'x'", "at step 7"),
    ):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("rank", "local_rank", "told"), [("0", "0", "error: no"), ("1", "1", ""), ("8", "0", "error in process 8: no")]
)
def test_what_all_meet_alike_one_process_of_each_machine_tells(
    rank: str, local_rank: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"WORLD_SIZE": "16", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert _tell(UserError("no"), 2) == 2
    assert capsys.readouterr().err.strip() == told
