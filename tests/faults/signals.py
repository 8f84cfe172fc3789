"""SIGTERM, SIGINT and SIGUSR1 at random moments: saved, the exit code says so, and the run goes on bit by bit."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pandas as pd

from faults.runs import RECIPES, Whole, assert_equal, words
from faults.suite import Suite
from forked import fork, kill, kill_group, sslkit_main, wait

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def case(number: int, folder: Path) -> None:
    """One signal; then the same command."""
    draw = random.Random(number)
    name = list(RECIPES)[number % len(RECIPES)]
    whole = Whole(folder.parent / "whole")
    expected, seconds = whole.run(name)
    command = words(whole.recipe(name), folder / "run", "--train.workers", str(2 * (number % 2)))
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    sent = _SIGNALS[number % 3]
    child = fork(sslkit_main(*command), log)
    time.sleep(draw.uniform(0, seconds))
    # to the process alone, or to its loader processes too
    (kill, kill_group)[number // 2 % 2](child, sent)
    code = wait(child)
    said = log.read_text()
    assert "Traceback" not in said, said
    # 0: it had ended; the negative one: it had not begun to train, and there was nothing to save
    assert code in (0, 128 + sent, -sent), (code, said)
    if "stopped and saved at step" in said:
        step = int(said.split("stopped and saved at step ")[1].split()[0])
        state = folder / f"run/checkpoints/step-{step:08d}/state.json"
        assert json.loads(state.read_text())["step"] == step
        rows = pd.read_csv(folder / "run/metrics.csv")
        assert rows[rows["name"] == "loss"]["step"].max() == step
    code = wait(fork(sslkit_main(*command), log))
    assert code == 0, log.read_text()
    assert_equal(expected, folder / "run")


SUITE = Suite(
    "signals", "SIGTERM, SIGINT, SIGUSR1 at random moments: saved within a step, goes on bit by bit", 200, 2, case
)
