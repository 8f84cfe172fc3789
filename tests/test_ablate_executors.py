"""Ablations on submitit's local cluster and on a Ray cluster of this machine; which words reach a SLURM cluster."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from sslkit.ablation.choose import executor_of
from sslkit.ablation.layout import Layout
from sslkit.errors import UserError
from tiny_grid import METRIC, ablate, grid_file
from tiny_run import processes_below

#: Jobs of submitit on this machine.
LOCAL = ("--executor", "submitit", "--submit", "cluster=local")


def finished(folder: Path) -> None:
    rows = pd.read_csv(folder / "results.csv")
    assert set(rows["status"]) == {"finished"}
    assert set(rows["metric"]) == {METRIC}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up SLURM: `sbatch` notes what it is given, and names a job; `sacct` says that it runs."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, body in {
        "sbatch": f'cat "$1" > {tmp_path}/batch.sh; echo "Submitted batch job 17"',
        "sacct": 'echo "JobID|State|NodeList"; for i in 0 1; do echo "17_$i|RUNNING|n1"; done',
        "squeue": "true", "srun": "true", "scancel": "true",
    }.items():  # fmt: skip
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tmp_path


def test_submitit_s_local_jobs(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    done = ablate(grid_file(tmp_path, seeds=1), "abl", *LOCAL)
    assert done.code() == 0, done.complained
    finished(tmp_path / "abl")
    assert len(list((tmp_path / "abl/jobs").glob("*_result.pkl"))) == 2


def test_a_warned_job_saves_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    file = grid_file(tmp_path, overrides={"train.epochs": 5, "checkpoint.every_epochs": None}, seeds=1)
    runner = ablate(file, "abl", *LOCAL)
    metrics = tmp_path / "abl/runs/teacher=ema_seed=0/metrics.csv"
    deadline = time.monotonic() + 200
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # SLURM sends it to all processes of a job
    for name in ("submitit.core._submit", "sslkit.cli.child"):
        for process in processes_below(runner.pid, name):
            os.kill(process, signal.SIGUSR2)
    assert runner.code() == 0, runner.complained
    finished(tmp_path / "abl")
    assert "continuing" in (tmp_path / "abl/logs/teacher=ema_seed=0.txt").read_text()


def test_a_job_that_fails_is_a_row(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    file = grid_file(tmp_path, axes={"train.device": ["cpu", "cuda"]}, seeds=1)
    assert ablate(file, "abl", *LOCAL).code() == 1
    rows = pd.read_csv(tmp_path / "abl/results.csv")
    assert list(rows["status"]) == ["finished", "failed"]
    assert "train.device" in rows["reason"][1]


def test_on_slurm_runs_are_one_array_and_a_job_in_the_queue_is_not_submitted_again(slurm: Path) -> None:
    pytest.importorskip("submitit")
    from sslkit.ablation.executors import Task

    layout = Layout(slurm / "abl")
    layout.make()
    make = executor_of("submitit", 1, {"slurm_partition": "gpu", "gpus_per_node": 1, "timeout_min": 90})
    executor = make(layout)
    assert executor.slots is None
    with executor.together():
        jobs = [executor.start(Task(name, ["fit"], layout.log(name))) for name in ("one", "two")]
    assert [job.ended() for job in jobs] == [None, None]
    script = (slurm / "batch.sh").read_text()
    for line in ("--array=0-1%1", "--partition=gpu", "--gpus-per-node=1", "--time=90", "--signal=USR2@180"):
        assert f"#SBATCH {line}\n" in script
    assert (layout.path / "jobs/two.job").read_text() == "17_1\n"
    (slurm / "batch.sh").unlink()
    again = make(layout)
    with again.together():
        job = again.start(Task("two", ["fit"], layout.log("two")))
    assert job.ended() is None
    assert not (slurm / "batch.sh").exists()


def test_ray_tasks(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'sslkit[ray]'")
    done = ablate(grid_file(tmp_path), "abl", "--executor", "ray")
    assert done.code() == 0, done.complained
    finished(tmp_path / "abl")


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "abl")
    with pytest.raises(UserError, match="--executor slurmy: there is none; known: local, ray, submitit"):
        executor_of("slurmy", 1, {})
    with pytest.raises(UserError, match="--submit gpus_per_node: it is for a cluster: add --executor submitit or ray"):
        executor_of("local", 1, {"gpus_per_node": 1})
    pytest.importorskip("submitit")
    with pytest.raises(UserError, match="--submit: submitit says: .*gpu_per_node"):
        executor_of("submitit", 1, {"cluster": "local", "gpu_per_node": 1})(layout)
