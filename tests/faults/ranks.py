"""Two processes under torchrun: one is killed or stopped, or a run of one process goes on with two, and with one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.suite import Suite
from forked import kill
from tiny_run import TINY_VIT, assert_equal_runs, logged

#: Seconds: of ranks that wait for another one, and what may pass beyond that.
TIMEOUT, GRACE = 10, 35
_KILLED_WITHIN = 20


def recipe(folder: Path) -> Path:
    """The file of what two ranks train."""
    file = folder / "ranks.yaml"
    if not file.is_file():
        small: dict[str, Any] = TINY_VIT
        train = small["train"] | {"batch_size": 64, "rank_timeout": TIMEOUT, "threads": 1, "log_every": 1}
        # at 0.1 the loss jumps, and one rank that computes its batch in two parts is 1e-3 from itself: rounding, grown
        optimizer = small["optimizer"] | {"lr": 0.003}
        more = {"train": train, "optimizer": optimizer, "checkpoint": {"every_steps": 7}, "watch": {"progress": None}}
        file.write_text(yaml.safe_dump(small | more))
    return file


def _command(folder: Path, out: str, ranks: int = 2) -> list[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    return [sys.executable, *launch, "-m", "sslkit", "fit", "--recipe", str(recipe(folder)), "--out", str(folder / out)]


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _children(process: int) -> list[int]:
    """The ranks that torchrun started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _whole(folder: Path, ranks: int) -> Path:
    """The uninterrupted run on so many ranks, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    out = f"on{ranks}"
    if not (folder / out / "summary.json").is_file():
        log = folder / "log.txt"
        assert _start(_command(folder, out, ranks), log).wait(300) == 0, log.read_text()
    return folder / out


def wait_until_logged(metrics: Path, steps: int, said: Callable[[], object], alive: Callable[[], bool]) -> None:
    """Wait until so many steps are logged.

    Args:
        metrics: the run's CSV.
        steps: of it.
        said: what the run has said so far, for the message.
        alive: whether it still runs.
    """
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count(",loss,") >= steps):
        assert alive(), said()
        assert time.monotonic() < deadline, said()
        time.sleep(0.01)


def _at_work(running: subprocess.Popen[bytes], metrics: Path, steps: int, log: Path) -> None:
    wait_until_logged(metrics, steps, lambda: log.read_text()[-3000:], lambda: running.poll() is None)


def case(number: int, folder: Path) -> None:
    """Of four: two killed ranks, a stopped one, and other numbers of ranks."""
    folder.mkdir(parents=True)
    if number % 4 == 3:
        _other_numbers(random.Random(number), folder)
    else:
        _lost_rank(number, folder)


def _other_numbers(draw: random.Random, folder: Path) -> None:
    """One rank, stopped; two, stopped; one: the losses of each step are those of one rank alone, but for rounding."""
    whole, log = _whole(folder.parent / "whole", 1), folder / "log.txt"
    metrics = folder / "run/metrics.csv"
    for ranks, steps in ((1, draw.randrange(1, 20)), (2, draw.randrange(21, 40))):
        running = _start(_command(folder, "run", ranks), log)
        _at_work(running, metrics, steps, log)
        kill(running.pid if ranks == 1 else _children(running.pid)[0], signal.SIGTERM)
        assert running.wait(TIMEOUT + GRACE) != 0, log.read_text()[-3000:]
        assert log.read_text().count("stopped and saved at") >= ranks, log.read_text()[-3000:]
    assert _start(_command(folder, "run", 1), log).wait(300) == 0, log.read_text()[-3000:]
    expected, found = (logged(run) for run in (whole, folder / "run"))
    losses = [table[table["name"] == "loss"][["step", "value"]].to_numpy() for table in (expected, found)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-5)


def _lost_rank(number: int, folder: Path) -> None:
    draw = random.Random(number)
    whole = _whole(folder.parent / "whole", 2)
    log, command = folder / "log.txt", _command(folder, "run")
    running = _start(command, log)
    _at_work(running, folder / "run/metrics.csv", draw.randrange(1, 30), log)
    ranks = _children(running.pid)
    kill(draw.choice(ranks), signal.SIGKILL if number % 2 == 0 else signal.SIGSTOP)
    allowed = _KILLED_WITHIN if number % 2 == 0 else TIMEOUT + GRACE
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


SUITE = Suite(
    "ranks",
    "a rank killed or stopped: over in time, none left, goes on bit by bit; on 1, 2, 1 ranks: the same losses",
    40,
    0,
    case,
)
