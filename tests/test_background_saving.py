"""Checkpoints written while the training goes on: of the step at which they were due, and never lost silently."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from forked import Sslkit
from sslkit.data.batch import Batch
from sslkit.engine.build import Length, build_run
from sslkit.engine.checkpoint import CheckpointStore, weights_of
from sslkit.engine.hooks import Watching
from sslkit.engine.run import Run
from sslkit.engine.saving import Saving
from sslkit.engine.standing import Standing
from sslkit.engine.step import training_step
from sslkit.errors import RunError
from sslkit.parts import Position
from sslkit.recipe.load import load_recipe
from sslkit.recipe.settings import Checkpointing
from tiny_run import TINY_VIT, assert_equal_runs, tiny, write

BACKGROUND = ("--checkpoint.background", "true")


class Held(CheckpointStore):
    """Writes when it is let; what it is given afterwards it cannot write."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.let = threading.Event()

    def save(self, *contents: Any) -> Path:
        assert self.let.wait(60)
        return super().save(*contents)


def built() -> Run:
    adamw = {"optimizer": {"name": "adamw", "lr": 0.1, "weight_decay": 0.1}}
    return build_run(load_recipe(TINY_VIT | adamw), Length(5, 10), 10, torch.device("cpu"))


def step(run: Run, number: int) -> None:
    pixels = torch.randint(0, 256, (2, 4, 3, 16, 16), generator=torch.Generator().manual_seed(number))
    training_step(run, Batch({16: pixels.byte()}, torch.arange(4), None), Position(number, 10, 5))


def saving(run: Run, store: CheckpointStore) -> Saving:
    return Saving(run, Checkpointing(background=True), store, Watching({}))


def flat(content: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested dicts and lists by its path, tensors as lists."""
    if isinstance(content, dict):
        return {key: value for at, part in content.items() for key, value in flat(part, f"{name}/{at}").items()}
    if isinstance(content, list | tuple):
        return flat(dict(enumerate(content)), name)
    return {name: content.tolist() if isinstance(content, torch.Tensor) else content}


def test_what_is_written_is_of_the_step_at_which_it_was_due(tmp_path: Path) -> None:
    run = built()
    step(run, 0)
    store = Held(tmp_path)
    saves = saving(run, store)
    saves.save(Standing(step=1), goes_on=True)
    weights, optimizer = weights_of(run.modules(), copy=True), flat(run.optimizer.state_dict())
    step(run, 1)
    step(run, 2)
    now = weights_of(run.modules())
    assert not any(torch.equal(now[key], weights[key]) for key in weights if key.endswith("qkv.weight"))
    assert store.newest() is None
    store.let.set()
    saves.close()
    found = store.newest()
    assert found is not None
    assert found.state["step"] == 1
    assert found.weights.keys() == weights.keys()
    assert all(torch.equal(found.weights[key], weights[key]) for key in weights)
    assert flat(found.optimizer["optimizer"]) == optimizer


@pytest.mark.parametrize("told_by", ["check", "save", "wait", "roll_back"])
def test_one_that_fails_is_told_at_the_next_chance(tmp_path: Path, told_by: str) -> None:
    run, store = built(), Held(tmp_path / "gone")
    saves = saving(run, store)
    (tmp_path / "gone").write_text("a file is where the folder should be")
    saves.save(Standing(step=1), goes_on=True)
    saves.check()  # nothing is known yet
    store.let.set()
    if told_by == "check":
        assert saves._pending is not None
        saves._pending.exception(60)
    deeds = {"check": saves.check, "wait": saves.wait, "roll_back": saves.roll_back}
    with pytest.raises(RunError, match="step-00000001 was not saved"):
        deeds.get(told_by, lambda: saves.save(Standing(step=2)))()
    saves.close()


def test_an_error_of_the_run_s_own_stays_the_one_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Held(tmp_path / "gone")
    saves = saving(built(), store)
    (tmp_path / "gone").write_text("a file is where the folder should be")
    saves.save(Standing(step=1), goes_on=True)
    store.let.set()
    saves.close()
    assert "step-00000001 was not saved" in caplog.text


def test_tensors_that_share_memory_are_copied_apart() -> None:
    first = nn.Linear(2, 2)
    tied = nn.ModuleList([first, first])
    for copy in (False, True):
        found = weights_of({"student": tied}, copy)
        assert len({tensor.data_ptr() for tensor in found.values()}) == 4
        assert (found["student/0.bias"].data_ptr() == first.bias.data_ptr()) is not copy


def test_a_run_that_saves_in_the_background_is_bit_by_bit_the_same(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(checkpoint={"every_steps": 2}))
    for out, more in {"before": (), "beside": BACKGROUND}.items():
        run = Sslkit(tmp_path, "fit", "--recipe", str(file), "--out", out, *more)
        assert run.code() == 0, run.complained
    assert_equal_runs(tmp_path / "before", tmp_path / "beside")
    kept = [sorted(path.name for path in (tmp_path / out / "checkpoints").iterdir()) for out in ("before", "beside")]
    assert kept[0] == kept[1] == ["step-00000020", "step-00000022"]


def test_a_disk_that_fills_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    file = write(tmp_path, tiny())
    done = Sslkit(tmp_path, "fit", "--recipe", str(file), "--out", "run", *BACKGROUND, file_limit=8 * 1024)
    assert done.code() == 1, done.complained
    assert "Traceback" not in done.complained
    assert "was not saved (the weights alone need" in done.complained
    assert "File too large" in done.complained
