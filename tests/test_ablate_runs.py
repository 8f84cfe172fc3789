"""Ablations of real runs: killed, interrupted, failing, stale, on a folder of something else."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

import sslkit
from sslkit.errors import UserError
from tiny_grid import METRIC, SHORT, command, grid_file, run


def finish(folder: Path, file: Path, out: str, env: dict[str, str]) -> str:
    """Run an ablation to its end; what it said."""
    done = run(folder, command(file, out), env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(folder: Path, words: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def wait_for(check: object, seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while not check():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = grid_file(tmp_path)
    said = finish(tmp_path, file, "whole", subprocess_env)
    assert "4 of 4 runs finished" in said
    draw, alive = random.Random(0), 0
    for _ in range(10):
        runner = subprocess.Popen(
            command(file, "killed"), cwd=tmp_path, env=subprocess_env, stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(draw.uniform(0.5, 7.0))
        alive += runner.poll() is None
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    assert alive >= 5
    finish(tmp_path, file, "killed", subprocess_env)
    for name in ("results.csv", "table.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for log in (tmp_path / "killed/logs").iterdir():
        assert log.read_text().count("what to try next") == 1  # how a run that finishes closes
    rows = pd.read_csv(tmp_path / "whole/results.csv")
    assert list(rows.columns) == ["cell", "teacher", "seed", "status", "reason", "metric", "value"]
    assert set(rows["metric"]) == {METRIC}
    # each cell is an ordinary run
    show = [sys.executable, "-m", "sslkit", "fit", "--recipe", "whole/recipes/teacher=ema_seed=1.yaml"]
    shown = run(tmp_path, [*show, "--out", "whole/runs/teacher=ema_seed=1"], subprocess_env)
    assert shown.returncode == 0
    assert "holds this run, finished" in shown.stdout


def test_a_run_that_fails_is_a_row_and_is_tried_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plugin = tmp_path / "sometimes.py"
    plugin.write_text(
        '"""A watcher."""\nimport sslkit\nfrom pathlib import Path\nfrom sslkit.parts import Clip\nimport torch\n\n\n'
        'class Sometimes(Clip):\n    """Fails while a file exists."""\n    def __call__(self, gradients):\n'
        '        norms = torch.stack([g.norm() for g in gradients])\n'
        f'        return norms / 0 if Path({str(tmp_path / "bad")!r}).exists() else norms\n\n\n'
        '@sslkit.hookimpl\ndef sslkit_register(registry):\n    registry.clip("sometimes", Sometimes)\n'
    )  # fmt: skip
    (tmp_path / "bad").touch()

    def ablate(**options: object) -> pd.DataFrame:
        axes = {"clip": {"none": None, "sometimes": {"clip": "sometimes"}}}
        return sslkit.ablate(SHORT, axes, metrics=[METRIC], out="abl", jobs=2, plugins=plugin, **options)

    rows = ablate()
    assert list(rows["status"]) == ["finished", "failed"]
    assert "not finite" in rows["reason"][1]
    assert "- clip=sometimes, seed 0: failed. " in (tmp_path / "abl/table.md").read_text()
    (tmp_path / "bad").unlink()
    assert list(ablate()["status"]) == ["finished", "failed"]  # it is not run again by itself
    rows = ablate(retry=True)
    assert list(rows["status"]) == ["finished", "finished"]
    assert rows["value"].between(5, 100).all()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="the folder holds 'thesis.txt' and is no ablation"):
        sslkit.ablate(SHORT, {"teacher": ["ema"]}, out=tmp_path)


def test_a_run_that_hangs_past_its_limit_has_failed(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    words = command(grid_file(tmp_path), "abl", "--limit", "0.01")
    done = run(tmp_path, words, subprocess_env)
    assert done.returncode == 1
    assert "0 of 4 runs finished, 4 failed" in done.stdout
    assert "failed. it took longer than 0.01 minutes" in done.stdout


def long_grid(folder: Path) -> Path:
    """Two runs of a minute or more, which no test waits for."""
    return grid_file(folder, overrides={"train.epochs": 400, "checkpoint.every_epochs": None}, seeds=1)


def trains(folder: Path) -> bool:
    """Whether both runs have begun to train."""
    files = list(folder.glob("runs/*/metrics.csv"))
    return len(files) == 2 and all(file.read_text().count("\n") > 1 for file in files)


def test_an_interrupted_runner_lets_its_runs_save(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = long_grid(tmp_path)
    runner = start(tmp_path, command(file, "abl"), subprocess_env)
    wait_for(lambda: trains(tmp_path / "abl"))
    os.kill(runner.pid, signal.SIGINT)
    said, _ = runner.communicate(timeout=100)
    assert runner.returncode == 130, said
    assert "runs save first" in said
    assert said.count("stopped, and goes on next time") == 2
    assert said.rstrip().endswith("the same command goes on where it was")
    for folder in (tmp_path / "abl/runs").iterdir():
        assert list((folder / "checkpoints").glob("step-*"))


def test_a_second_interruption_stops_at_once(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = long_grid(tmp_path)
    runner = start(tmp_path, command(file, "abl"), subprocess_env)
    wait_for(lambda: trains(tmp_path / "abl"))
    children = [int(pid) for pid in Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()]
    for child in children:
        os.kill(child, signal.SIGSTOP)  # they cannot save
    os.kill(runner.pid, signal.SIGINT)
    time.sleep(1.0)
    assert runner.poll() is None
    os.kill(runner.pid, signal.SIGINT)
    runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_two_runners_do_not_share_a_folder(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = long_grid(tmp_path)
    runner = start(tmp_path, command(file, "abl"), subprocess_env)
    wait_for(lambda: (tmp_path / "abl/.lock").is_file() and (tmp_path / "abl/.lock").read_text())
    second = run(tmp_path, command(file, "abl"), subprocess_env)
    runner.kill()
    runner.communicate(timeout=20)
    assert second.returncode == 2
    wanted = rf"error: --out abl: process {runner.pid} on \S+, since 20\d\d-\S+ \S+ runs an ablation there; wait for it"
    assert re.search(wanted, second.stderr), second.stderr


def test_a_run_that_another_process_trains_is_waited_for(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = grid_file(tmp_path, seeds=1)
    assert run(tmp_path, command(file, "abl", "--dry-run"), subprocess_env).returncode == 0
    recipe = tmp_path / "other.yaml"
    recipe.write_text(yaml.safe_dump(SHORT | {"train": SHORT["train"] | {"epochs": 1, "batch_size": 64}}))  # type: ignore[operator]
    words = ["fit", "--recipe", str(recipe), "--out", "abl/runs/teacher=ema_seed=0"]
    other = start(tmp_path, [sys.executable, "-m", "sslkit", *words], subprocess_env)
    wait_for(lambda: list((tmp_path / "abl/runs").glob("*/metrics.csv")))
    os.kill(other.pid, signal.SIGSTOP)
    runner = start(tmp_path, command(file, "abl"), subprocess_env)
    wait_for(lambda: list((tmp_path / "abl/runs").glob("teacher=student_copy*/summary.json")))
    os.kill(other.pid, signal.SIGCONT)
    other.communicate(timeout=100)
    said, _ = runner.communicate(timeout=100)
    assert runner.returncode == 0, said
    assert f"teacher=ema_seed=0: waits for process {other.pid} on" in said
    assert "2 of 2 runs finished" in said


def test_a_budget_that_is_spent_stops_runs_that_go_on_next_time(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = long_grid(tmp_path)
    for minutes in ("0.2", "0.4", "0.8", "1.6"):  # a slow machine has not begun to train within the first
        done = run(tmp_path, command(file, "abl", "--budget", minutes), subprocess_env)
        assert done.returncode == 1
        assert f"the budget of {minutes} minutes is spent" in done.stdout
        assert "0 of 2 runs finished, 2 open" in done.stdout
        if trains(tmp_path / "abl"):
            break
    assert len(list((tmp_path / "abl").glob("runs/*/checkpoints/step-*"))) == 2


def test_runs_of_other_code_are_named_and_made_anew_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    axes = {"teacher": ["ema", "student_copy"]}

    def ablate(**options: object) -> str:
        sslkit.ablate(SHORT, axes, metrics=[METRIC], out="abl", jobs=2, **options)  # type: ignore[arg-type]
        return capsys.readouterr().out

    ablate()
    note = tmp_path / "abl/code/teacher=ema_seed=0.json"
    assert json.loads(note.read_text())["sslkit"] == sslkit.__version__
    note.write_text(json.dumps(json.loads(note.read_text()) | {"sslkit": "0.0.1"}))
    before = (tmp_path / "abl/runs/teacher=student_copy_seed=0/summary.json").stat().st_mtime_ns
    said = ablate()
    assert f"teacher=ema_seed=0: made by other code (sslkit 0.0.1 there, {sslkit.__version__} now); kept" in said
    assert "begins" not in said
    said = ablate(stale=True)
    assert said.count("begins") == 1
    assert (tmp_path / "abl/runs/teacher=ema_seed=0.old-1/summary.json").is_file()
    assert (tmp_path / "abl/runs/teacher=student_copy_seed=0/summary.json").stat().st_mtime_ns == before
    assert "other code" not in ablate()


def test_a_folder_of_another_ablation_is_left_alone(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    finish(tmp_path, grid_file(tmp_path, seeds=1), "abl", subprocess_env)
    for key, value in {"loss.teacher_temp": 0.07, "evaluate.knn.k": [5, 20]}.items():
        other = grid_file(tmp_path, seeds=1, overrides={key: value})
        done = run(tmp_path, command(other, "abl"), subprocess_env)
        assert done.returncode == 2
        assert "holds a run of another recipe" in done.stderr
        assert key.rpartition(".")[2] in done.stderr
    assert len(pd.read_csv(tmp_path / "abl/results.csv")) == 2


def test_a_full_disk_takes_a_run_and_no_more(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = grid_file(tmp_path, axes={"backbone": {"small": {}, "large": {"backbone.widths": [8, 256]}}}, seeds=1)
    # no file may grow beyond 150 kB: a checkpoint of the larger net does not fit
    limited = ["bash", "-c", 'ulimit -f 150; exec "$@"', "bash", *command(file, "abl")]
    done = run(tmp_path, limited, subprocess_env)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    rows = pd.read_csv(tmp_path / "abl/results.csv")
    assert dict(zip(rows["backbone"], rows["status"], strict=True)) == {"large": "failed", "small": "finished"}
    assert "File too large" in rows.set_index("backbone")["reason"]["large"]
    assert run(tmp_path, command(file, "abl", "--retry"), subprocess_env).returncode == 0
    assert set(pd.read_csv(tmp_path / "abl/results.csv")["status"]) == {"finished"}
