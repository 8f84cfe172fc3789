"""The script of docs/slurm.md, as it stands there, on submitit's local cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tiny_run import environment, final_weights, processes_below, tiny, write

pytest.importorskip("submitit")
PAGE = Path(__file__).resolve().parents[1] / "docs/slurm.md"


def script(folder: Path) -> Path:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    file = folder / "submit.py"
    file.write_text(block)
    return file


def submit(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(script(folder)), "--cluster", "local", *words]
    return subprocess.Popen(command, cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE)


def logs(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted((folder / "slurm_logs").glob("*_log.*")))


def test_the_page_s_script_trains_on_two_processes(tmp_path: Path) -> None:
    write(tmp_path, tiny(evaluate={}))
    job = submit(tmp_path, "--gpus", "2", "--recipe", "tiny.yaml", "--out", "run", "--train.epochs", "1")
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said + logs(tmp_path)
    assert json.loads((tmp_path / "run/environment.json").read_text())["world_size"] == 2


def test_a_mistake_fails_the_job(tmp_path: Path) -> None:
    job = submit(tmp_path, "--gpus", "0", "--recipe", "nothere", "--out", "run")
    job.communicate(timeout=300)
    assert job.returncode == 1


def test_a_warned_job_saves_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    write(tmp_path, tiny(evaluate={}, watch={"progress": {}}, checkpoint={"every_steps": None}))
    job = submit(tmp_path, "--gpus", "0", "--recipe", "tiny.yaml", "--out", "run", "--train.epochs", "8")
    deadline = time.monotonic() + 200
    metrics = tmp_path / "run/metrics.csv"
    # more than its heading: steps have been made
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        assert time.monotonic() < deadline, logs(tmp_path)
        time.sleep(0.1)
    (task,) = processes_below(job.pid, "submitit.core._submit")
    os.kill(task, signal.SIGUSR2)
    job.communicate(timeout=300)
    said = "".join(file.read_text() for file in (tmp_path / "slurm_logs").glob("*.out"))
    assert "continu" in said
    assert (tmp_path / "run/summary.json").is_file()
    assert final_weights(tmp_path / "run")


def test_a_job_that_is_warned_before_it_trains_is_queued_again(tmp_path: Path) -> None:
    write(tmp_path, tiny(evaluate={}))
    job = submit(tmp_path, "--gpus", "0", "--recipe", "tiny.yaml", "--out", "run", "--train.epochs", "1")
    deadline = time.monotonic() + 200
    while "Loading pickle" not in (logs(tmp_path) if (tmp_path / "slurm_logs").exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (task,) = processes_below(job.pid, "submitit.core._submit")
    os.kill(task, signal.SIGUSR2)
    job.communicate(timeout=300)
    assert job.returncode == 0, logs(tmp_path)
    assert (tmp_path / "run/summary.json").is_file()
