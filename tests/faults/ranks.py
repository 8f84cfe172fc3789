"""Two processes under torchrun, one of which is killed or stopped: an end in time, and the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from faults.suite import Suite, kill
from tiny_run import TINY_VIT, assert_equal_runs

#: Seconds: of ranks that wait for another one, and what may pass beyond that.
_TIMEOUT, _GRACE = 10, 35
_KILLED_WITHIN = 20


def _command(folder: Path, out: str) -> list[str]:
    file = folder / "ranks.yaml"
    if not file.is_file():
        small: dict[str, Any] = TINY_VIT
        train = small["train"] | {"batch_size": 64, "rank_timeout": _TIMEOUT, "threads": 1, "log_every": 1}
        recipe = small | {"train": train, "checkpoint": {"every_steps": 7}, "watch": {"progress": None}}
        file.write_text(yaml.safe_dump(recipe))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return [sys.executable, *launch, "-m", "sslkit", "fit", "--recipe", str(file), "--out", str(folder / out)]


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _children(process: int) -> list[int]:
    """The ranks that torchrun started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _whole(folder: Path) -> Path:
    """The uninterrupted run on two ranks, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run/summary.json").is_file():
        log = folder / "log.txt"
        assert _start(_command(folder, "run"), log).wait(300) == 0, log.read_text()
    return folder / "run"


def _at_work(running: subprocess.Popen[bytes], metrics: Path, steps: int, log: Path) -> None:
    """Wait until so many steps are logged."""
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count(",loss,") >= steps):
        assert running.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.01)


def case(number: int, folder: Path) -> None:
    """Even: a rank is killed; odd: stopped; then the same command."""
    draw = random.Random(number)
    whole = _whole(folder.parent / "whole")
    folder.mkdir(parents=True)
    log, command = folder / "log.txt", _command(folder, "run")
    running = _start(command, log)
    _at_work(running, folder / "run/metrics.csv", draw.randrange(1, 30), log)
    ranks = _children(running.pid)
    kill(draw.choice(ranks), signal.SIGKILL if number % 2 == 0 else signal.SIGSTOP)
    allowed = _KILLED_WITHIN if number % 2 == 0 else _TIMEOUT + _GRACE
    try:
        code = running.wait(allowed)
    except subprocess.TimeoutExpired:
        for process in (*ranks, running.pid):
            kill(process, signal.SIGKILL)
        running.wait()
        raise AssertionError(f"still there after {allowed} s: {log.read_text()[-2000:]}") from None
    assert code != 0, log.read_text()[-3000:]
    assert not any(Path(f"/proc/{process}").exists() for process in ranks), "a process is left"
    assert _start(command, log).wait(300) == 0, log.read_text()[-3000:]
    assert_equal_runs(whole, folder / "run")


SUITE = Suite("ranks", "one of two ranks killed or stopped: over in time, none left, goes on bit by bit", 40, 0, case)
