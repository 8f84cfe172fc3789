"""Ablations: cells and statistics by hand, and real runs that are killed, fail and go on."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

import sslkit
from sslkit.ablation.grid import Grid, axis_of, cells_of, seeds_of
from sslkit.ablation.plan import plan
from sslkit.ablation.read import axes_from_words, read_grid
from sslkit.ablation.results import table
from sslkit.ablation.statistics import paired_difference
from sslkit.errors import UserError
from sslkit.plugins.manager import load_registry
from tiny_run import TINY_VIT

AXES = {"a": axis_of("a", [1, 2, 3]), "b": axis_of("b", {"no": None, "yes": {"head.use_bn": True}})}
#: A run of a few steps with a number at the end.
SHORT = TINY_VIT | {
    "train": {"epochs": 1, "batch_size": 64, "lr_per_images": None, "workers": 0, "threads": 1},
    "evaluate": {"knn": {"k": [5]}},
}
METRIC = "teacher/knn/k5_top1"


def names(*args: object, **kwargs: object) -> list[str]:
    return [cell.name for cell in cells_of(*args, **kwargs)]  # type: ignore[arg-type]


def test_a_grid_has_every_combination_and_begins_with_the_baseline() -> None:
    assert names(AXES) == ["a=1 b=no", "a=1 b=yes", "a=2 b=no", "a=2 b=yes", "a=3 b=no", "a=3 b=yes"]
    assert names(AXES, "grid", {"a": "2", "b": "yes"})[0] == "a=2 b=yes"
    assert len(set(names(AXES, "grid", {"a": "2"}))) == 6


def test_one_at_a_time_and_lists() -> None:
    assert names(AXES, "one_at_a_time", {"a": "2"}) == ["a=2 b=no", "a=1 b=no", "a=3 b=no", "a=2 b=yes"]
    assert names(AXES, [{"a": "3"}, {"a": "2", "b": "yes"}]) == ["a=1 b=no", "a=3 b=no", "a=2 b=yes"]


def test_words_of_the_command_line() -> None:
    axes = axes_from_words(["teacher=ema,frozen_epoch", "optimizer.lr={cosine: [0.1, 0]},0.5"])
    assert {axis: list(choices) for axis, choices in axes.items()} == {
        "teacher": ["ema", "frozen_epoch"], "optimizer.lr": ["{cosine: [0.1, 0]}", "0.5"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: cells_of({}), "axes: there is none"),
        (lambda: cells_of({"a": {}}), "axes.a: it has no choices"),
        (lambda: cells_of(AXES, "grids"), "did you mean 'grid'?"),
        (lambda: cells_of(AXES, "grid", {"c": "1"}), "baseline: there is no axis 'c'"),
        (lambda: cells_of(AXES, [{"a": "9"}]), r"design\[0\]: the axis 'a' has no choice '9'"),
        (lambda: cells_of(AXES, [{"a": "2"}, {"a": "2"}]), "is given twice"),
        (lambda: axis_of("a", [1, 1]), "axes.a: a value is given twice"),
        (lambda: axis_of("a", {"x": 3}), "axes.a.x: 3 is no mapping of overrides"),
        (lambda: axis_of("a", "ema"), "axes.a: 'ema' is neither a list"),
        (lambda: seeds_of([1, 1]), "seeds: "),
        (lambda: seeds_of(0), "seeds: 0 must be a number of 1 or more"),
        (lambda: axes_from_words(["teacher"]), "write KEY=VALUE,VALUE"),
        (lambda: axes_from_words(["a=1,1"]), "a value is given twice"),
        (lambda: axes_from_words(["a=1", "a=2"]), "--axis a: it is given twice"),
    ],
)
def test_mistakes_are_one_sentence(make, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def test_every_cell_is_checked_before_the_first_runs(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = yaml.safe_dump({"recipe": "quickstart", "axes": {"bn": {"on": {}, "off": {"head.use_bnn": False}}}})
    file.write_text(text)
    with pytest.raises(UserError, match="cell 'bn=off': .*did you mean 'use_bn'?"):
        plan(read_grid(file), load_registry())
    file.write_text(text + "metric: [x]\n")
    with pytest.raises(UserError, match=r"grid.yaml:\d+: metric: a grid has no such key; did you mean 'metrics'?"):
        read_grid(file)
    file.write_text("recipe: quickstart\naxes:\n  teacher: [ema]\nseeds: [1, 1]\n")
    with pytest.raises(UserError, match="grid.yaml:4: seeds: "):
        read_grid(file)
    file.write_text("recipe: quickstart\naxes:\n  teacher: [ema]\nmetrics: [teacher/knnn/k20_top1]\n")
    with pytest.raises(UserError, match="cell 'teacher=ema': metrics: .*did you mean 'teacher/knn'?"):
        plan(read_grid(file), load_registry())


def test_cells_that_are_equal_in_everything_share_a_run() -> None:
    axes = {"head": axis_of("head", {"default": None, "no bn": {"head.use_bn": False}})}
    members = plan(Grid(SHORT, cells_of(axes), (0, 1)), load_registry())
    assert [member.folder for member in members] == [
        "head=default_seed=0", "head=default_seed=1", "head=default_seed=0", "head=default_seed=1",
    ]  # fmt: skip
    assert [member.resolved["seed"] for member in members] == [0, 1, 0, 1]


def test_differences_are_those_of_a_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    base, cell = (dict(enumerate(draw.normal(50, 2, 6))) for _ in range(2))
    found = paired_difference(cell, base)
    wanted = stats.ttest_rel(list(cell.values()), list(base.values())).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(np.mean(list(cell.values())) - np.mean(list(base.values())))
    assert not found.separated
    assert paired_difference({0: 9.0, 1: 9.1, 2: 8.9}, {0: 1.0, 1: 1.1, 2: 1.0}).separated
    alone = paired_difference({0: 3.0, 5: 1.0}, {0: 1.0})
    assert (alone.mean, alone.pairs) == (2.0, 1)
    assert math.isnan(alone.low)
    assert not alone.separated
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_a_table_marks_chance_and_what_is_separated() -> None:
    cells = cells_of({"a": axis_of("a", [1, 2, 3])})
    values = {"a=1": [50.0, 51.0, 52.0], "a=2": [60.0, 61.5, 62.0], "a=3": [49.0, 53.0, 52.0]}
    frame = pd.DataFrame(
        {"cell": cell, "seed": seed, "status": "finished", "reason": "", "metric": "m", "value": value}
        for cell, of in values.items() for seed, value in enumerate(of)
    )  # fmt: skip
    text = table(Grid("quickstart", cells, (0, 1, 2), ("m",)), frame)
    assert "| a=1 | 51.00 | 1.00 | 3 |  |  |  |" in text
    assert "| a=2 | **61.17** | 1.04 | 3 | +10.17 | 9.45 to 10.88 |  |" in text
    (chance,) = [line for line in text.splitlines() if line.startswith("| a=3")]
    assert chance.endswith("| ~ |")


def grid_file(folder: Path) -> Path:
    (folder / "short.yaml").write_text(yaml.safe_dump(SHORT))
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump({
        "recipe": "short.yaml", "axes": {"teacher": ["ema", "student_copy"]}, "seeds": 2, "metrics": [METRIC],
    }))  # fmt: skip
    return file


def finish(folder: Path, file: Path, out: str, env: dict[str, str]) -> str:
    """Run an ablation to its end; what it said."""
    done = subprocess.run(
        command(file, out), cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command(file: Path, out: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "sslkit", "ablate", "--recipe", str(file), "--out", out, "--jobs", "2", *more]


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    file = grid_file(tmp_path)
    said = finish(tmp_path, file, "whole", subprocess_env)
    assert "4 of 4 runs finished" in said
    for seconds in (2.0, 5.0, 8.0):
        runner = subprocess.Popen(
            command(file, "killed"), cwd=tmp_path, env=subprocess_env, stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(seconds)
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
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
    words = ["--out", "whole/runs/teacher=ema_seed=1"]
    shown = subprocess.run(
        [*show, *words], cwd=tmp_path, env=subprocess_env, capture_output=True, text=True, check=False
    )
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

    def run(**options: object) -> pd.DataFrame:
        axes = {"clip": {"none": None, "sometimes": {"clip": "sometimes"}}}
        return sslkit.ablate(SHORT, axes, metrics=[METRIC], out="abl", jobs=2, plugins=plugin, **options)

    rows = run()
    assert list(rows["status"]) == ["finished", "failed"]
    assert "not finite" in rows["reason"][1]
    assert "- clip=sometimes, seed 0: failed. " in (tmp_path / "abl/table.md").read_text()
    (tmp_path / "bad").unlink()
    assert list(run()["status"]) == ["finished", "failed"]  # it is not run again by itself
    rows = run(retry=True)
    assert list(rows["status"]) == ["finished", "finished"]
    assert rows["value"].between(5, 100).all()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="the folder holds 'thesis.txt' and is no ablation"):
        sslkit.ablate(SHORT, {"teacher": ["ema"]}, out=tmp_path)


def test_a_run_that_hangs_past_its_limit_has_failed(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    words = command(grid_file(tmp_path), "abl", "--limit", "0.01")
    done = subprocess.run(
        words, cwd=tmp_path, env=subprocess_env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "0 of 4 runs finished" in done.stdout
    assert "failed. it took longer than 0.01 minutes" in done.stdout


def test_a_shipped_grid_is_found_by_its_name(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    def run(name: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "sslkit", "ablate", "--recipe", name, "--dry-run"]
        return subprocess.run(words, cwd=tmp_path, env=subprocess_env, capture_output=True, text=True, check=False)

    done = run("ablations/teacher")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("teacher=ema  seed 0  open\n")
    assert "12 runs of 4 cells, in ablations/teacher" in done.stdout
    assert not list(tmp_path.iterdir())
    assert "did you mean 'ablations/teacher'?" in run("ablations/teachers").stderr
    assert "add --axis KEY=VALUE,VALUE" in run("quickstart").stderr
