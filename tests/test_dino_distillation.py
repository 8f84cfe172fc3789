"""Whole runs under the teacher rules that hold weights of their own: from a file, and from the step before."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from forked import fork, sslkit_main, wait
from sslkit.cli.main import main
from tiny_run import assert_equal_runs, final_weights, logged, tiny, write

ONCE = {"epochs": 1, "batch_size": 128, "workers": 0, "lr_per_images": None}


def fit(file: Path, out: str, *words: str) -> None:
    assert main(["fit", "--recipe", str(file), "--out", str(file.parent / out), *words]) == 0


def test_a_trained_run_teaches_a_student_of_another_architecture(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(train=ONCE))
    fit(file, "taught")
    weights = next((tmp_path / "taught/checkpoints").glob("step-*/weights.safetensors"))
    small = ["--backbone", "vit", "--backbone.dim", "24", "--backbone.depth", "1", "--backbone.heads", "2"]
    student = [*small, "--backbone.patch_size", "4", "--head.hidden_dim", "8"]
    teacher = [
        "--teacher", "fixed", "--teacher.weights", str(weights), "--teacher_backbone.name", "small_convnet",
        "--teacher_backbone.widths", "[8, 16]", "--teacher_head.name", "dino", "--teacher_head.out_dim", "32",
        "--teacher_head.hidden_dim", "16", "--teacher_head.bottleneck_dim", "8", "--teacher_head.use_bn", "true",
    ]  # fmt: skip
    fit(file, "distilled", *student, *teacher)
    found, source = final_weights(tmp_path / "distilled"), load_file(weights)
    taught = {name: value for name, value in found.items() if name.startswith("teacher/") and "running" not in name}
    assert taught
    for name, value in taught.items():
        if "num_batches_tracked" not in name:
            assert torch.equal(value, source[name]), name
    assert found["student/backbone.net.cls_token"].shape[-1] == 24
    losses = logged(tmp_path / "distilled").query("name == 'loss'")["value"]
    assert losses.iloc[-1] < losses.iloc[0]
    # what such a run trains is its student: it is what is judged, embedded and exported
    fit_words = ["embed", str(tmp_path / "distilled"), "--out", str(tmp_path / "x.npz")]
    assert main(fit_words) == 0
    assert np.load(tmp_path / "x.npz")["features"].shape[1] == 24


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--teacher", "fixed"], "the teacher 'fixed' needs 'weights'; it has no default"),
        (["--teacher", "fixed", "--teacher.weights", "lost.pth"], "lost.pth: there is no such file of weights"),
        (["--teacher", "ema", "--teacher_backbone.name", "vit"], "teacher_backbone"),
    ],
)
def test_a_teacher_without_its_weights_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, tiny())
    assert main(["fit", "--recipe", str(file), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("rule", [{"name": "previous_step"}, {"name": "polyak"}, {"name": "frozen_epoch", "every": 1}])
def test_a_killed_run_goes_on_as_if_it_never_stopped(rule: dict[str, object], tmp_path: Path) -> None:
    file = write(tmp_path, tiny(teacher=rule, checkpoint={"every_steps": 3}))
    fit(file, "whole")
    words = ("fit", "--recipe", str(file), "--out", str(tmp_path / "killed"))
    child = fork(sslkit_main(*words), tmp_path / "log.txt")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed/checkpoints").glob("step-*/weights.safetensors")):
        assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert wait(child) == -signal.SIGKILL, (tmp_path / "log.txt").read_text()
    fit(file, "killed")
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
