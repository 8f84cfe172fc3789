"""Real processes that are killed or asked to stop, and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import Sslkit
from tiny_run import TINY, assert_equal_runs, command, environment, tiny, write


def fit(file: Path, out: str, *more: str) -> Sslkit:
    return Sslkit(file.parent, "fit", "--recipe", str(file), "--out", out, *more)


def wait_for_checkpoint(folder: Path, alive: Callable[[], bool], step: int) -> None:
    deadline = time.monotonic() + 120
    while not any(int(path.name[5:]) >= step for path in (folder / "checkpoints").glob("step-*")):
        assert time.monotonic() < deadline, "no checkpoint came"
        assert alive(), "it ended"
        time.sleep(0.02)


def test_killed_in_the_middle_and_continued_equals_the_uninterrupted_run(tmp_path: Path) -> None:
    file = write(tmp_path, tiny())
    whole = fit(file, "whole")
    assert whole.code() == 0, whole.complained
    # a slow step keeps the kill in the middle of the run, whatever the machine
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import time, sslkit\n"
        "from sslkit.parts import Watcher\n"
        "class Slow(Watcher):\n"
        "    '''Waits.'''\n"
        "    @sslkit.hookimpl\n"
        "    def step_end(self, at):\n"
        "        time.sleep(0.15)\n"
        "@sslkit.hookimpl\n"
        "def sslkit_register(registry):\n"
        "    registry.watcher('slow', Slow)\n"
    )
    killed = fit(file, "killed", "--plugin", str(slow), "--watch.slow", "{}")
    wait_for_checkpoint(tmp_path / "killed", killed.alive, step=10)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.code() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "summary.json").exists()
    again = fit(file, "killed")
    assert again.code() == 0, again.complained
    assert "continuing killed at step 1" in again.said
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    counted = [
        json.loads((tmp_path / out / "summary.json").read_text())["enlarged_images"] for out in ("whole", "killed")
    ]
    assert counted == [22 * 128] * 2


def test_sigterm_saves_and_the_same_call_goes_on(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(train={**TINY["train"], "epochs": 200}))  # type: ignore[dict-item]
    # as timeout(1) and some schedulers do it: to all processes of the group
    # not a forked one: what the interpreter says at its end belongs to it
    process = subprocess.Popen(
        command(file, "--out", "run", "--train.workers", "2", "--checkpoint.background", "true"), cwd=tmp_path,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for_checkpoint(tmp_path / "run", lambda: process.poll() is None, step=5)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped and saved at step" in errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    step = int(errors.split("saved at step ")[1].split()[0])
    assert (tmp_path / "run" / "checkpoints" / f"step-{step:08d}").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(train={**TINY["train"], "epochs": 200}))  # type: ignore[dict-item]
    process = fit(file, "run", "--train.workers", "2")
    wait_for_checkpoint(tmp_path / "run", process.alive, step=5)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    assert process.code(60) == -signal.SIGKILL
    deadline = time.monotonic() + 3
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "Traceback" not in process.complained


LAST_STEP = """
import os, signal, sslkit
from sslkit.parts import Watcher

class Stop(Watcher):
    # asks to stop in the step before the last one: the loop sees it in the last
    @sslkit.hookimpl
    def step_end(self, at):
        if at.step == at.total - 2 and not os.path.exists("asked"):
            open("asked", "w").close()
            os.kill(os.getpid(), signal.SIGTERM)

@sslkit.hookimpl
def sslkit_register(registry):
    registry.watcher("stop", Stop)
"""


def test_a_signal_in_the_last_step_does_not_lose_the_last_evaluation(tmp_path: Path) -> None:
    file = write(tmp_path, tiny())
    (tmp_path / "stop.py").write_text(LAST_STEP)
    words = ("--plugin", "stop.py", "--watch.stop", "{}")
    stopped = fit(file, "run", *words)
    assert stopped.code() == 143, stopped.complained
    assert "stopped and saved at step 22 of 22" in stopped.complained
    again = fit(file, "run", *words)
    assert again.code() == 0, again.complained
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "teacher/knn/k5_top1" in summary
