"""What the first Ctrl-C is answered with at once, wherever the run is, and what the second one ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import Sslkit, fork_ranks, kill, sslkit_main, wait
from tiny_run import tiny, write

#: A watcher that holds the run where it is told to, until there is a file ``go``.
HOLD = """
import time
from pathlib import Path
import sslkit
from sslkit.parts import Watcher

class Hold(Watcher):
    '''Holds.

    Args:
        where: step_end or evaluation_progress.
    '''
    def __init__(self, where: str) -> None:
        self.where = where

    def hold(self, here):
        if here == self.where and not Path("go").exists():
            Path("held").touch()
            while not Path("go").exists():
                time.sleep(0.01)

    @sslkit.hookimpl
    def step_end(self, at):
        if at.step == 11:
            self.hold("step_end")

    @sslkit.hookimpl
    def evaluation_progress(self, label):
        self.hold("evaluation_progress")

@sslkit.hookimpl
def sslkit_register(registry):
    registry.watcher("hold", Hold)
"""


def until(there: Callable[[], bool], process: Sslkit) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline, process.said
        assert process.alive(), process.complained
        time.sleep(0.01)


def held(folder: Path, where: str) -> Sslkit:
    """A run that is held; whatever is said by then has been said."""
    (folder / "hold.py").write_text(HOLD)
    file = write(folder, tiny(checkpoint={"every_steps": 5}))
    words = ("--plugin", "hold.py", "--watch.hold", f"{{where: {where}}}")
    process = Sslkit(folder, "fit", "--recipe", str(file), "--out", "run", *words)
    until(lambda: (folder / "held").exists(), process)
    return process


@pytest.mark.parametrize(
    ("where", "sent", "said"),
    [
        ("step_end", signal.SIGINT, "Ctrl-C: finishing step 13, then saving; Ctrl-C again quits"),
        ("step_end", signal.SIGTERM, "SIGTERM: finishing step 13, then saving; Ctrl-C quits at once"),
        ("evaluation_progress", signal.SIGINT, "Ctrl-C: finishing the evaluation before training, then saving"),
    ],
)
def test_a_signal_is_acknowledged_before_the_run_stops(
    tmp_path: Path, where: str, sent: signal.Signals, said: str
) -> None:
    process = held(tmp_path, where)
    process.send(sent)
    until(lambda: said in process.said, process)
    (tmp_path / "go").touch()
    assert process.code() == 128 + sent
    assert process.complained.startswith(f"stopped and saved at step {13 if where == 'step_end' else 1} of 22")
    log = (tmp_path / "run/log.txt").read_text()
    assert said in log
    assert "stopped and saved at step" in log
    assert "Traceback" not in log + process.said + process.complained


def test_a_second_ctrl_c_quits_and_says_what_is_lost(tmp_path: Path) -> None:
    process = held(tmp_path, "step_end")
    process.send(signal.SIGINT)
    until(lambda: "Ctrl-C again quits" in process.said, process)
    process.send(signal.SIGINT)
    assert process.code(60) == 130
    assert process.complained == (
        "quit at step 12 of 22 without saving: the same command continues from the checkpoint of step 11, and makes "
        "the steps since then again\n"
    )
    assert "Traceback" not in (tmp_path / "run/log.txt").read_text()
    assert not (tmp_path / "run/checkpoints/step-00000012").exists()


STARTS = """
import os, signal
import sslkit
from sslkit.parts import Watcher

class Start(Watcher):
    '''Is interrupted while the run starts.'''
    @sslkit.hookimpl
    def fit_start(self, run):
        os.kill(os.getpid(), signal.SIGINT)

@sslkit.hookimpl
def sslkit_register(registry):
    registry.watcher("start", Start)
"""


def test_ctrl_c_while_a_run_starts_says_that_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(STARTS)
    file = write(tmp_path, tiny())
    words = ("--plugin", "start.py", "--watch.start", "{}")
    process = Sslkit(tmp_path, "fit", "--recipe", str(file), "--out", "run", *words)
    assert process.code() == 130
    assert "nothing is lost" in process.complained
    assert "Traceback" not in process.complained + (tmp_path / "run/log.txt").read_text()


def test_two_ranks_that_are_stopped_leave_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "hold.py").write_text(HOLD)
    recipe = tiny(watch={"progress": None, "hold": {"where": "step_end"}}, evaluate={})
    file, out = write(tmp_path, recipe), tmp_path / "run"
    logs = [tmp_path / f"{rank}.txt" for rank in (0, 1)]
    words = ("fit", "--recipe", str(file), "--out", str(out), "--plugin", str(tmp_path / "hold.py"))

    def work() -> int:
        import os

        os.chdir(tmp_path)
        return sslkit_main(*words)()

    ranks = fork_ranks(work, logs)
    deadline = time.monotonic() + 120
    while not (tmp_path / "held").exists():
        assert time.monotonic() < deadline, [log.read_text() for log in logs]
        time.sleep(0.01)
    for rank in ranks:
        kill(rank, signal.SIGINT)
    (tmp_path / "go").touch()
    assert [wait(rank) for rank in ranks] == [130, 130]
    said = [log.read_text() for log in logs]
    assert all("stopped and saved at step" in text and "Traceback" not in text for text in said), said
    assert "Traceback" not in (out / "log.txt").read_text()
