"""Two ranks of which one is sent a signal, or is gone before the first step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from faults.rank_signals import said, start
from faults.ranks import wait_until_logged
from forked import kill, wait


def test_a_signal_to_one_rank_is_the_other_s_too(tmp_path: Path) -> None:
    out = tmp_path / "run"
    # long enough that it trains when the signal comes, and with patience: a slow machine may be busy
    ranks = start(tmp_path, out, "--train.epochs", "200", "--train.rank_timeout", "120")

    def alive() -> bool:
        return all(os.waitpid(rank, os.WNOHANG) == (0, 0) for rank in ranks)

    wait_until_logged(out / "metrics.csv", 3, lambda: said(out), alive)
    kill(ranks[1], signal.SIGUSR1)
    assert [wait(rank) for rank in ranks] == [138, 138], said(out)
    assert all("stopped and saved at step" in each for each in said(out))


def test_a_rank_that_is_gone_before_the_first_step_is_told_in_a_sentence(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ranks = start(tmp_path, out)
    kill(ranks[1], signal.SIGKILL)
    assert [wait(rank) for rank in ranks] == [1, -signal.SIGKILL]
    told = (tmp_path / "run0.txt").read_text()
    assert told.splitlines()[-1].startswith("error: another process of this run failed or was lost outside a step")
    assert "Traceback" not in told
