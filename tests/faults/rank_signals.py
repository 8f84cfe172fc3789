"""A signal to one of two ranks or to both, at a random moment: both save the same step, and it goes on bit by bit."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

from faults.ranks import GRACE, TIMEOUT, recipe
from faults.suite import Suite
from forked import fork_ranks, kill, sslkit_main, wait
from tiny_run import assert_equal_runs

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
#: Which of the ranks are sent it.
_REACHED = ((0,), (1,), (0, 1))


def start(folder: Path, out: Path, *more: str) -> list[int]:
    """Two ranks without torchrun, as SLURM starts them; each says what it says in a file of its own."""
    command = sslkit_main("fit", "--recipe", str(recipe(folder)), "--out", str(out), *more)
    return fork_ranks(command, [out.parent / f"{out.name}{rank}.txt" for rank in (0, 1)])


def said(out: Path) -> list[str]:
    """What each rank of a run has said."""
    return [(out.parent / f"{out.name}{rank}.txt").read_text() for rank in (0, 1)]


def _whole(folder: Path) -> tuple[Path, float]:
    """The run that nobody disturbs, made once, and its seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "seconds.txt"
    if not note.is_file():
        began = time.monotonic()
        codes = [wait(rank) for rank in start(folder, folder / "run")]
        assert codes == [0, 0], said(folder / "run")
        note.write_text(str(time.monotonic() - began))
    return folder / "run", float(note.read_text())


def case(number: int, folder: Path) -> None:
    """One signal; then the same command."""
    draw, sent = random.Random(number), _SIGNALS[number % 3]
    whole, seconds = _whole(folder.parent / "whole two")
    folder.mkdir(parents=True)
    out = folder / "run"
    ranks = start(folder, out)
    time.sleep(draw.uniform(0, seconds))
    for rank in _REACHED[number // 3 % 3]:
        kill(ranks[rank], sent)
    began = time.monotonic()
    codes = [wait(rank) for rank in ranks]
    assert time.monotonic() - began < TIMEOUT + GRACE, said(out)
    assert not any("Traceback" in said for said in said(out)), said(out)
    saved = [re.findall(r"stopped and saved at step (\d+)", said) for said in said(out)]
    if any(saved):
        assert saved[0] == saved[1], said(out)
        assert codes == [128 + sent] * 2, (codes, said(out))
    else:
        # it had ended; or had not begun to train, and one without the other does not go on
        assert set(codes) <= {0, 1, 128 + sent, -sent}, (codes, said(out))
    codes = [wait(rank) for rank in start(folder, out)]
    assert codes == [0, 0], said(out)
    assert_equal_runs(whole, out)


SUITE = Suite(
    "rank_signals",
    "SIGTERM, SIGINT, SIGUSR1 to one of two ranks or both: all save the same step, goes on bit by bit",
    40,
    2,
    case,
)
