"""Runs whose evaluators, watchers or data go wrong: nothing that was trained is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sslkit
from sslkit.errors import RunError, UserError
from tiny_run import TINY_VIT

PLUGIN = '''
"""Parts that go wrong."""
import sslkit
from sslkit.parts import Evaluator, Metrics, Watcher

class Failing(Evaluator):
    """Fails while FILE exists.

    Args:
        file: the file.
    """
    def __init__(self, file: str = "") -> None:
        self.file = file
    def evaluate(self, frozen, data, out_dir):
        import os
        if os.path.exists(self.file):
            raise ZeroDivisionError("on purpose")
        return Metrics({"fine": 1.0})

class Counting(Evaluator):
    """Falls from evaluation to evaluation."""
    def __init__(self) -> None:
        self.calls = 0
    def evaluate(self, frozen, data, out_dir):
        self.calls += 1
        return Metrics({"value": -float(self.calls)})

class Forgetful(Watcher):
    """Cannot be saved."""
    def state_dict(self):
        return {"tensor": object()}

@sslkit.hookimpl
def sslkit_register(registry):
    registry.evaluator("failing", Failing)
    registry.evaluator("counting", Counting)
    registry.watcher("forgetful", Forgetful)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / f"faulty_{tmp_path.name}.py"
    file.write_text(PLUGIN)
    return file


SHORT = {**TINY_VIT, "train": {"epochs": 3, "batch_size": 256, "workers": 0}, "watch": {"progress": None}}


def test_a_failing_evaluator_loses_no_training_and_is_tried_again(tmp_path: Path, plugin: Path) -> None:
    flag = tmp_path / "broken"
    flag.touch()
    recipe = {**SHORT, "evaluate": {"failing": {"every": 1, "file": str(flag)}}, "checkpoint": {"every_epochs": None}}
    with pytest.raises(RunError, match="teacher/failing.*ZeroDivisionError: on purpose"):
        sslkit.fit(recipe, out=tmp_path / "run", plugins=(plugin,))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000005"]
    flag.unlink()
    done = sslkit.fit(recipe, out=tmp_path / "run", plugins=(plugin,))
    assert done.summary["teacher/failing/fine"] == 1.0
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows if "failing" in row] == ["5", "10", "15"]


def test_a_run_may_be_judged_otherwise_when_it_is_continued(
    tmp_path: Path, plugin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flag = tmp_path / "broken"
    flag.touch()
    recipe = {**SHORT, "evaluate": {"failing": {"every": 1, "file": str(flag)}, "counting": {"every": 1}}}
    with pytest.raises(RunError, match="teacher/failing"):
        sslkit.fit(recipe, out=tmp_path / "run", plugins=(plugin,))
    typo = {"evaluate.failing": None, "checkpoint.best_metric": "teacher/counting/valeu", "train.max_steps": 5}
    sslkit.fit(recipe, typo, out=tmp_path / "run", plugins=(plugin,))
    assert "no evaluation gives 'teacher/counting/valeu'; did you mean 'teacher/counting/value'?" in caplog.text
    with pytest.raises(UserError, match="no evaluation gives 'teacher/counting/valeu'"):
        sslkit.fit(recipe, {**typo, "evaluate.counting.at_start": True}, out=tmp_path / "new", plugins=(plugin,))
    right = {"evaluate.failing": None, "checkpoint.best_metric": "teacher/counting/value"}
    done = sslkit.fit(recipe, right, out=tmp_path / "run", plugins=(plugin,))
    assert (done.summary["best_step"], done.summary["best_value"]) == (10, -1.0)


def test_the_best_checkpoint_by_a_metric_is_kept(tmp_path: Path, plugin: Path) -> None:
    recipe = {
        **SHORT,
        "train": {**SHORT["train"], "epochs": 5},  # type: ignore[dict-item]
        "evaluate": {"counting": {"every": 1}},
        "checkpoint": {"best_metric": "teacher/counting/value", "keep": 2},
    }
    out = sslkit.fit(recipe, out=tmp_path / "run", plugins=(plugin,)).folder
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == ["step-00000005", "step-00000020", "step-00000025"]


def test_a_watcher_that_cannot_be_saved_is_switched_off(
    tmp_path: Path, plugin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = {**SHORT, "watch": {"progress": None, "forgetful": {}}}
    assert sslkit.fit(recipe, out=tmp_path / "run", plugins=(plugin,)).summary["steps"] == 15
    assert "watcher 'forgetful' failed in state_dict and is switched off" in caplog.text


def test_a_continued_run_must_see_the_data_that_it_began_with(tmp_path: Path, tiny_images: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(tiny_images, images)
    recipe = {
        **TINY_VIT,
        "data": {"name": "image_folder", "root": str(images)},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0, "max_steps": 1},
        "watch": {"progress": None},
    }
    sslkit.fit(recipe, out=tmp_path / "run")
    first = next(path for path in sorted((images / "train").rglob("*")) if path.is_file())
    first.unlink()
    with pytest.raises(UserError, match="the run began with other images"):
        sslkit.fit(recipe, {"train.max_steps": None}, out=tmp_path / "run")
