"""Killed at random moments and started again by the same command: bit by bit the run that was never killed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from faults.runs import RECIPES, Whole, assert_equal, words
from faults.suite import Suite
from forked import fork, kill, sslkit_main, wait

#: Kills of one run before it may end.
_KILLS = 3


def case(number: int, folder: Path) -> None:
    """Every third case is DINO, so that it has most of them; loader processes or saving in the background in halves."""
    draw = random.Random(number)
    names = list(RECIPES)
    name = "dino" if number % 3 == 0 else names[1 + (number - number // 3) % (len(names) - 1)]
    whole = Whole(folder.parent / "whole")
    expected, seconds = whole.run(name)
    background = str(number % 4 > 1).lower()
    more = ("--train.workers", str(2 * (number % 2)), "--checkpoint.background", background)
    command = words(whole.recipe(name), folder / "run", *more)
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    for _ in range(_KILLS):
        child = fork(sslkit_main(*command), log)
        time.sleep(draw.uniform(0, seconds))
        kill(child, signal.SIGKILL)
        code = wait(child)
        assert code in (0, -signal.SIGKILL), (code, log.read_text())
    code = wait(fork(sslkit_main(*command), log))
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()
    assert_equal(expected, folder / "run")


SUITE = Suite("kills", "kill -9 at random moments, the same command again: all bit by bit the same", 300, 2, case)
