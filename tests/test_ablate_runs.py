"""Ablations of real runs: killed, interrupted, failing, stale, on a folder of something else."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

import sslkit
from forked import Sslkit, kill
from sslkit.errors import UserError
from tiny_grid import METRIC, SHORT, ablate, grid_file


def finish(file: Path, out: str, jobs: int = 2) -> str:
    """Run an ablation to its end; what it said."""
    runner = ablate(file, out, jobs=jobs)
    assert runner.code() == 0, runner.complained
    return runner.said


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a grid of two runs, ``grid.yaml``, and its finished ablation, ``abl``."""
    folder = tmp_path_factory.mktemp("finished")
    # one after the other: the second has the first one's place
    assert "2 of 2 runs finished" in finish(grid_file(folder, seeds=1), "abl", jobs=1)
    return folder


@pytest.fixture
def grid(finished: Path, tmp_path: Path) -> Path:
    """The file of that grid, in a copy of that folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "grid.yaml"


def wait_for(check: object, seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while not check():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(grid: Path, tmp_path: Path) -> None:
    draw, kills, ended = random.Random(0), 0, 0
    while kills < 10:
        runner = ablate(grid, f"killed{ended}")
        time.sleep(draw.uniform(0.5, 7.0))
        if runner.alive():
            kills += 1
            runner.send(signal.SIGKILL)
            assert runner.code() == -signal.SIGKILL
        else:
            # it was faster: the others are killed in a new folder
            assert runner.code() == 0, runner.complained
            assert_as_if_nothing_had_been(tmp_path, f"killed{ended}")
            ended += 1
    finish(grid, f"killed{ended}")
    assert_as_if_nothing_had_been(tmp_path, f"killed{ended}")


def assert_as_if_nothing_had_been(folder: Path, out: str) -> None:
    for name in ("results.csv", "table.md"):
        assert (folder / out / name).read_bytes() == (folder / "abl" / name).read_bytes()
    for log in (folder / out / "logs").iterdir():
        assert log.read_text().count("what to try next") == 1  # how a run that finishes closes


def test_each_cell_is_an_ordinary_run(grid: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(tmp_path / "abl/results.csv")
    assert list(rows.columns) == ["cell", "teacher", "seed", "status", "reason", "metric", "value"]
    assert set(rows["metric"]) == {METRIC}
    name = "teacher=ema_seed=0"
    shown = Sslkit(tmp_path, "fit", "--recipe", f"abl/recipes/{name}.yaml", "--out", f"abl/runs/{name}")
    assert shown.code() == 0, shown.said
    assert "holds this run, finished" in shown.said


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

    def rows_of(**options: object) -> pd.DataFrame:
        axes = {"clip": {"none": None, "sometimes": {"clip": "sometimes"}}}
        return sslkit.ablate(SHORT, axes, metrics=[METRIC], out="abl", jobs=2, plugins=plugin, **options)

    rows = rows_of()
    assert list(rows["status"]) == ["finished", "failed"]
    assert "not finite" in rows["reason"][1]
    assert "- clip=sometimes, seed 0: failed. " in (tmp_path / "abl/table.md").read_text()
    (tmp_path / "bad").unlink()
    assert list(rows_of()["status"]) == ["finished", "failed"]  # it is not run again by itself
    rows = rows_of(retry=True)
    assert list(rows["status"]) == ["finished", "finished"]
    assert rows["value"].between(5, 100).all()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="the folder holds 'thesis.txt' and is no ablation"):
        sslkit.ablate(SHORT, {"teacher": ["ema"]}, out=tmp_path)


def test_a_run_that_hangs_past_its_limit_has_failed(tmp_path: Path) -> None:
    done = ablate(grid_file(tmp_path), "abl", "--limit", "0.01")
    assert done.code() == 1
    assert "0 of 4 runs finished, 4 failed" in done.said  # two at a time
    assert "failed. it took longer than 0.01 minutes" in done.said


def long_grid(folder: Path) -> Path:
    """Two runs of a minute or more, which no test waits for."""
    return grid_file(folder, overrides={"train.epochs": 400, "checkpoint.every_epochs": None}, seeds=1)


def trains(folder: Path) -> bool:
    """Whether both runs have begun to train."""
    files = list(folder.glob("runs/*/metrics.csv"))
    return len(files) == 2 and all(file.read_text().count("\n") > 1 for file in files)


def test_an_interrupted_runner_lets_its_runs_save(tmp_path: Path) -> None:
    file = long_grid(tmp_path)
    runner = ablate(file, "abl")
    wait_for(lambda: trains(tmp_path / "abl"))
    kill(runner.pid, signal.SIGINT)
    assert runner.code(100) == 130, runner.said
    assert "runs save first" in runner.said
    assert runner.said.count("stopped, and goes on next time") == 2
    assert runner.complained.rstrip().endswith("the same command goes on where it was")
    for folder in (tmp_path / "abl/runs").iterdir():
        assert list((folder / "checkpoints").glob("step-*"))


def test_a_second_interruption_stops_at_once(tmp_path: Path) -> None:
    file = long_grid(tmp_path)
    runner = ablate(file, "abl")
    wait_for(lambda: trains(tmp_path / "abl"))
    children = [int(pid) for pid in Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()]
    for child in children:
        kill(child, signal.SIGSTOP)  # they cannot save
    kill(runner.pid, signal.SIGINT)
    time.sleep(1.0)
    assert runner.alive()
    kill(runner.pid, signal.SIGINT)
    assert runner.code(20) == 130
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_two_runners_do_not_share_a_folder(tmp_path: Path) -> None:
    file = long_grid(tmp_path)
    runner = ablate(file, "abl")
    wait_for(lambda: (tmp_path / "abl/.lock").is_file() and (tmp_path / "abl/.lock").read_text())
    second = ablate(file, "abl")
    assert second.code() == 2
    kill(runner.pid, signal.SIGKILL)
    runner.code(20)
    wanted = rf"error: --out abl: process {runner.pid} on \S+, since 20\d\d-\S+ \S+ runs an ablation there; wait for it"
    assert re.search(wanted, second.complained), second.complained


def test_a_run_that_another_process_trains_is_waited_for(tmp_path: Path) -> None:
    file = grid_file(tmp_path, seeds=1)
    assert ablate(file, "abl", "--dry-run").code() == 0
    recipe = tmp_path / "other.yaml"
    recipe.write_text(yaml.safe_dump(SHORT | {"train": SHORT["train"] | {"epochs": 1, "batch_size": 64}}))  # type: ignore[operator]
    other = Sslkit(tmp_path, "fit", "--recipe", str(recipe), "--out", "abl/runs/teacher=ema_seed=0")
    wait_for(lambda: list((tmp_path / "abl/runs").glob("*/metrics.csv")))
    kill(other.pid, signal.SIGSTOP)
    runner = ablate(file, "abl")
    wait_for(lambda: list((tmp_path / "abl/runs").glob("teacher=student_copy*/summary.json")))
    kill(other.pid, signal.SIGCONT)
    assert other.code(100) == 0, other.said
    assert runner.code(100) == 0, runner.said
    assert f"teacher=ema_seed=0: waits for process {other.pid} on" in runner.said
    assert "2 of 2 runs finished" in runner.said


def test_a_budget_that_is_spent_stops_runs_that_go_on_next_time(tmp_path: Path) -> None:
    file = long_grid(tmp_path)
    for minutes in ("0.2", "0.4", "0.8", "1.6"):  # a slow machine has not begun to train within the first
        done = ablate(file, "abl", "--budget", minutes)
        assert done.code() == 1
        assert f"the budget of {minutes} minutes is spent" in done.said
        assert "0 of 2 runs finished, 2 open" in done.said
        if trains(tmp_path / "abl"):
            break
    assert len(list((tmp_path / "abl").glob("runs/*/checkpoints/step-*"))) == 2


@pytest.mark.usefixtures("grid")
def test_runs_of_other_code_are_named_and_made_anew_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def again(**options: bool) -> str:
        axes = {"teacher": ["ema", "student_copy"]}
        sslkit.ablate(SHORT, axes, metrics=[METRIC], out="abl", jobs=2, **options)  # type: ignore[arg-type]
        return capsys.readouterr().out

    note = tmp_path / "abl/code/teacher=ema_seed=0.json"
    assert json.loads(note.read_text())["sslkit"] == sslkit.__version__
    note.write_text(json.dumps(json.loads(note.read_text()) | {"sslkit": "0.0.1"}))
    before = (tmp_path / "abl/runs/teacher=student_copy_seed=0/summary.json").stat().st_mtime_ns
    said = again()
    assert f"teacher=ema_seed=0: made by other code (sslkit 0.0.1 there, {sslkit.__version__} now); kept" in said
    assert "begins" not in said
    said = again(stale=True)
    assert said.count("begins") == 1
    assert (tmp_path / "abl/runs/teacher=ema_seed=0.old-1/summary.json").is_file()
    assert (tmp_path / "abl/runs/teacher=student_copy_seed=0/summary.json").stat().st_mtime_ns == before
    assert "other code" not in again()


def test_a_folder_of_another_ablation_is_left_alone(grid: Path, tmp_path: Path) -> None:
    for key, value in {"loss.teacher_temp": 0.07, "evaluate.knn.k": [5, 20]}.items():
        done = ablate(grid_file(tmp_path, seeds=1, overrides={key: value}), "abl")
        assert done.code() == 2
        assert "holds a run of another recipe" in done.complained
        assert key.rpartition(".")[2] in done.complained
    assert len(pd.read_csv(tmp_path / "abl/results.csv")) == 2


def test_a_full_disk_takes_a_run_and_no_more(tmp_path: Path) -> None:
    file = grid_file(tmp_path, axes={"backbone": {"small": {}, "large": {"backbone.widths": [8, 256]}}}, seeds=1)
    # a checkpoint of the larger net does not fit
    done = ablate(file, "abl", file_limit=150 * 1024)
    assert done.code() == 1
    assert "Traceback" not in done.said + done.complained
    rows = pd.read_csv(tmp_path / "abl/results.csv")
    assert dict(zip(rows["backbone"], rows["status"], strict=True)) == {"large": "failed", "small": "finished"}
    assert "File too large" in rows.set_index("backbone")["reason"]["large"]
    assert ablate(file, "abl", "--retry").code() == 0
    assert set(pd.read_csv(tmp_path / "abl/results.csv")["status"]) == {"finished"}
