"""Disks that are full or gone: one sentence, and the older checkpoints stay."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
from pathlib import Path

from faults.runs import Whole, assert_equal, words
from faults.suite import Suite
from forked import fork, kill, sslkit_main, wait
from sslkit.engine.checkpoint import CheckpointStore


def case(number: int, folder: Path) -> None:
    """No file may grow beyond a limit, from some moment on; or the folder goes away under the run."""
    draw = random.Random(number)
    whole = Whole(folder.parent / "whole")
    expected, seconds = whole.run("dino")
    command = words(whole.recipe("dino"), folder / "run", "--train.workers", "0")
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    if number % 2:
        # checkpoints that were written before: the run stops in its middle first
        child = fork(sslkit_main(*command), log)
        time.sleep(seconds * draw.uniform(0.3, 0.8))
        kill(child, signal.SIGTERM)
        wait(child)
    before = _newest(folder)
    if number % 5 == 4:
        child = fork(sslkit_main(*command), log)
        time.sleep(seconds * draw.uniform(0.1, 0.9))
        ended = (folder / "run/summary.json").is_file()
        shutil.rmtree(folder / "run", ignore_errors=True)
        code = wait(child)
        assert code in (0, 1, 2), (code, log.read_text())
        whole_run = (folder / "run/recipe.yaml").is_file()
        assert whole_run or code or ended, "a run that ended well without its folder"
        if not whole_run:  # what came into it while it was being removed
            shutil.rmtree(folder / "run", ignore_errors=True)
    else:
        limit = draw.choice([2_000, 8_000, 20_000, 60_000])
        code = wait(fork(lambda: _limited(limit, command), log))
        assert code in (0, 1, 2), (code, log.read_text())
        found = _newest(folder)
        assert found >= before
        assert code or found == 22, "a finished run without its last checkpoint"
    assert "Traceback" not in log.read_text(), log.read_text()
    code = wait(fork(sslkit_main(*command), log))
    assert code == 0, log.read_text()
    assert_equal(expected, folder / "run")


def _limited(limit: int, command: tuple[str, ...]) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return sslkit_main(*command)()


def _newest(folder: Path) -> int:
    found = CheckpointStore(folder / "run/checkpoints").newest()
    return int(found.state["step"]) if found else 0


SUITE = Suite("disk", "full or removed: a sentence, older checkpoints stay, never a false 'saved'", 100, 3, case)
