"""Steps whose loss, gradients or buffer updates are not finite: raised, skipped, rolled back, and made once more."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import sslkit
from sslkit.cli.main import main
from sslkit.errors import RunError
from sslkit.report.training import RunResult
from tiny_run import TINY, assert_equal_runs, final_weights, tiny

#: A loss that is not finite at the steps that a file names.
PLUGIN = '''
"""A loss that breaks."""
from pathlib import Path

import sslkit
import torch
from sslkit_dino.loss import DINOLoss

class Breaking(DINOLoss):
    """Breaks at some steps."""
    def forward(self, student, teacher, views, at):
        terms = super().forward(student, teacher, views, at)
        text = Path({file!r}).read_text().split()
        if "loss" + str(at.step) in text:
            terms = type(terms)(terms.total * float("nan"), terms.logs, terms.update)
        if "update" + str(at.step) in text:
            terms = type(terms)(terms.total, terms.logs, dict(mean=terms.update["mean"] / 0))
        return terms

@sslkit.hookimpl
def sslkit_register(registry):
    registry.loss("breaking", Breaking)
'''


class Bench:
    """Runs a small recipe whose loss breaks at named steps."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.plugin = folder, folder / "broken.txt", folder / "breaking.py"
        self.plugin.write_text(PLUGIN.replace("{file!r}", repr(str(self.file))))
        self.file.write_text("")

    def fit(self, broken: str, out: str = "run", **train: object) -> RunResult:
        self.file.write_text(broken)
        recipe = tiny(
            loss={"name": "breaking"},
            evaluate={},
            train={**TINY["train"], **train},  # type: ignore[dict-item]
            checkpoint={"every_steps": 5, "keep": 9},
        )
        return sslkit.fit(recipe, out=self.folder / out, plugins=self.plugin)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_by_default_it_raises_and_the_step_can_be_made_once_more(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="the loss is not finite at step 7 .*`sslkit replay .*step-00000007` makes"):
        bench.fit("loss7")
    snapshot = bench.folder / "run/snapshots/step-00000007"
    assert main(["replay", str(snapshot), "--plugin", str(bench.plugin)]) == 1
    said = capsys.readouterr().out
    assert "step 7: the loss is not finite at step 7 (epoch 0)" in said
    assert "modules whose output is not finite, the first ones first: losses.breaking" in said
    assert "weights and buffers not finite before the step: none" in said
    bench.file.write_text("")
    assert main(["replay", str(snapshot), "--plugin", str(bench.plugin)]) == 0
    assert "step 7 is finite here" in capsys.readouterr().out
    # the same command goes on, and the run is as if nothing had been
    assert bench.fit("").summary["nonfinite_steps"] == 0
    bench.fit("", out="other")
    assert_equal_runs(bench.folder / "run", bench.folder / "other")


def test_skipped_steps_move_nothing_not_even_running_statistics(bench: Bench) -> None:
    bench.fit("loss5", max_steps=6, on_nonfinite="skip")
    checkpoints = bench.folder / "run/checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000005", "step-00000006"]
    after = final_weights(bench.folder / "run")
    (checkpoints / "step-00000006").rename(bench.folder / "after")
    before = final_weights(bench.folder / "run")
    assert any("running_mean" in name for name in before)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_a_run_that_skips_is_told_and_goes_on_bit_by_bit(bench: Bench) -> None:
    summary = bench.fit("loss3 update6 loss12", on_nonfinite="skip").summary
    assert summary["nonfinite_steps"] == 3
    rows = pd.read_csv(bench.folder / "run/metrics.csv")
    told = rows[rows["name"] == "nonfinite_steps"]
    assert dict(zip(told["step"], told["value"], strict=True)) == {4: 1, 7: 2, 13: 3}
    assert not {4, 7, 13} & set(rows[rows["name"] == "loss"]["step"])
    assert all(torch.isfinite(tensor.float()).all() for tensor in final_weights(bench.folder / "run").values())
    assert len(list((bench.folder / "run/snapshots").iterdir())) == 2  # the last ones
    bench.fit("loss3 update6 loss12", out="cut", on_nonfinite="skip", max_steps=9)
    assert bench.fit("loss12", out="cut", on_nonfinite="skip").summary["nonfinite_steps"] == 3
    assert_equal_runs(bench.folder / "run", bench.folder / "cut")


def test_rolling_back_takes_the_newest_checkpoint_s_weights(bench: Bench) -> None:
    bench.fit("loss7", max_steps=8, on_nonfinite="rollback")
    after = final_weights(bench.folder / "run")
    (bench.folder / "run/checkpoints/step-00000008").rename(bench.folder / "after")
    before = final_weights(bench.folder / "run")
    assert (bench.folder / "run/checkpoints/step-00000005").is_dir()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_rolling_back_needs_a_checkpoint(bench: Bench) -> None:
    with pytest.raises(RunError, match="on_nonfinite is rollback, and there is no checkpoint yet"):
        bench.fit("loss2", on_nonfinite="rollback")


def test_too_many_are_an_error(bench: Bench) -> None:
    with pytest.raises(RunError, match="that makes 3 such steps, and train.max_nonfinite is 2"):
        bench.fit("loss3 loss4 loss5", on_nonfinite="skip", max_nonfinite=2)


def test_what_is_no_snapshot_is_told(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(bench.folder)]) == 2
    assert "is no snapshot; name a folder as runs/NAME/snapshots/step-00000120" in capsys.readouterr().err
    with pytest.raises(RunError):
        bench.fit("loss7")
    snapshot = bench.folder / "run/snapshots/step-00000007"
    (snapshot / "state.json").write_text("{}")
    assert main(["replay", str(snapshot), "--plugin", str(bench.plugin)]) == 2
    assert "the snapshot is damaged" in capsys.readouterr().err
