"""Two real gloo ranks against one process with the whole batch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import sslkit
from forked import fork, fork_ranks, sslkit_main, wait
from tiny_run import environment

BN_SCRIPT = """
import torch, torch.distributed as dist
from torch import nn
from sslkit.engine.batchnorm import synchronise
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.randn(8, 3, 5, 5, dtype=torch.float64, requires_grad=True)
weights = torch.randn(8, 3, 5, 5, dtype=torch.float64)
plain = nn.BatchNorm2d(3).double()
with torch.no_grad():
    plain.weight.uniform_(0.5, 2); plain.bias.uniform_(-1, 1)
cross = nn.Sequential(nn.BatchNorm2d(3).double())
cross[0].load_state_dict(plain.state_dict())
cross = synchronise(cross, torch.device("cpu"))
assert type(cross[0]).__name__ == "CrossRankBatchNorm"
(plain(x) * weights).sum().backward()
part = slice(4 * rank, 4 * rank + 4)
mine = x.detach()[part].clone().requires_grad_()
out = cross(mine)
(out * weights[part]).sum().backward()
assert torch.allclose(out, plain.train()(x)[part], atol=1e-10), "outputs"
assert torch.allclose(mine.grad, x.grad[part], atol=1e-10), "input gradients"
grads = cross[0].weight.grad.clone(); dist.all_reduce(grads)
assert torch.allclose(grads, plain.weight.grad, atol=1e-9), "weight gradients"
fresh = nn.BatchNorm2d(3).double(); fresh(x)
assert torch.allclose(cross[0].running_var, fresh.running_var, atol=1e-10), "running variance"
assert torch.allclose(cross[0].running_mean, fresh.running_mean, atol=1e-10), "running mean"
assert int(cross[0].num_batches_tracked) == 1
dist.destroy_process_group()
"""


def torchrun_command(ranks: int, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", *arguments]


def fit(*arguments: str, cwd: Path, ranks: int = 1) -> None:
    """Train to the end."""
    codes, told = fitted(*arguments, cwd=cwd, ranks=ranks)
    assert codes == [0] * ranks, told


def fitted(*arguments: str, cwd: Path, ranks: int, out: Sequence[str] = ()) -> tuple[list[int], list[str]]:
    """Exit code of every rank, and what it said; ``out``: a folder for each."""

    def work() -> int:
        os.chdir(cwd)
        own = ("--out", out[int(os.environ["RANK"])]) if out else ()
        return sslkit_main("fit", *arguments, *own)()

    logs = [cwd / f"rank{rank}.txt" for rank in range(ranks)]
    for log in logs:
        log.unlink(missing_ok=True)
    processes = fork_ranks(work, logs) if ranks > 1 else [fork(work, logs[0])]
    return [wait(process) for process in processes], [log.read_text() for log in logs]


def test_batchnorm_over_two_ranks_is_batchnorm_on_the_joined_batch(tmp_path: Path) -> None:
    script = tmp_path / "bn.py"
    script.write_text(BN_SCRIPT)
    done = subprocess.run(
        torchrun_command(2, str(script)), env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


def recipe(folder: Path, use_bn: bool) -> Path:
    data = {
        "data": {"name": "digits"},
        "preprocess": {"size": 16},
        "augment": {"name": "multicrop", "local_crops": 1, "global_size": 16, "local_size": 8, "blur": [0, 0, 0]},
        "backbone": {"name": "small_convnet", "widths": [8, 16]},
        "head": {"name": "dino", "out_dim": 32, "hidden_dim": 16, "bottleneck_dim": 8, "use_bn": use_bn},
        "teacher": {"name": "ema", "momentum": 0.9},
        "loss": {"name": "dino"},
        # the first gradients are huge: unclipped, they would blow rounding differences up
        "optimizer": {"name": "sgd", "lr": 0.05, "weight_decay": 1e-4},
        "clip": {"name": "per_tensor", "max_norm": 1.0},
        "train": {"epochs": 1, "batch_size": 64, "max_steps": 6, "workers": 0, "lr_per_images": None},
        "evaluate": {"knn": {"k": [5], "at_start": True}},
        "watch": {"progress": None, "tensorboard": None},
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


@pytest.mark.parametrize("use_bn", [False, True])
def test_two_ranks_train_as_one_with_the_whole_batch(tmp_path: Path, use_bn: bool) -> None:
    file = recipe(tmp_path, use_bn)
    for ranks, out in ((1, "one"), (2, "two")):
        fit("--recipe", str(file), "--out", out, cwd=tmp_path, ranks=ranks)
    one, two = (pd.read_csv(tmp_path / out / "metrics.csv") for out in ("one", "two"))
    one, two = (frame[~frame["name"].str.startswith("time/")].reset_index(drop=True) for frame in (one, two))
    assert one[["step", "name"]].equals(two[["step", "name"]])
    assert len(one[one["name"] == "loss"]) == 6
    np.testing.assert_allclose(one["value"], two["value"], rtol=1e-4, atol=1e-5)
    assert_same_weights(*(tmp_path / out for out in ("one", "two")))
    assert [enlarged(tmp_path / out) for out in ("one", "two")] == [6 * 64] * 2


def enlarged(out: Path) -> int:
    """All images of the digits are smaller than the crop; every rank counts its own."""
    return int(json.loads((out / "checkpoints/step-00000006/state.json").read_text())["enlarged"])


def assert_same_weights(one: Path, other: Path) -> None:
    weights = [load_file(out / "checkpoints/step-00000006/weights.safetensors") for out in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor.double(), weights[1][name].double(), atol=2e-5, rtol=2e-5), name


#: Turns the recipe into one with a net without BatchNorm, and nothing to evaluate.
SMALL_VIT = (
    "--backbone", "vit", "--backbone.patch_size", "4", "--backbone.dim", "16", "--backbone.depth", "1",
    "--backbone.heads", "2", "--backbone.drop_path_rate", "0", "--evaluate.knn", "null", "--train.log_every", "1",
)  # fmt: skip


def test_two_ranks_with_two_micro_batches_train_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    options = ["--recipe", str(recipe(tmp_path, use_bn=False)), *SMALL_VIT]
    fit(*options, "--out", "one", cwd=tmp_path)
    fit(*options, "--out", "four", "--train.micro_batches", "2", cwd=tmp_path, ranks=2)
    assert_same_weights(tmp_path / "one", tmp_path / "four")


FAILING = """
import os, sslkit
from sslkit_dino.loss import DINOLoss

class Failing(DINOLoss):
    def forward(self, student, teacher, views, at):
        if os.environ["RANK"] == "1" and at.step == 2:
            raise ValueError("boom")
        return super().forward(student, teacher, views, at)

@sslkit.hookimpl
def sslkit_register(registry):
    registry.loss("failing", Failing)
"""


def test_what_fails_on_one_rank_is_told_by_it(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    options = ["--recipe", str(recipe(tmp_path, use_bn=False)), *SMALL_VIT, "--plugin", "failing.py"]
    codes, told = fitted(*options, "--loss", "failing", "--out", "run", cwd=tmp_path, ranks=2)
    assert all(codes)
    assert "error in process 1: the loss 'failing' failed at step 2: ValueError: boom" in told[1]
    assert not any(re.search(r'File ".*/sslkit/', text) for text in told), told


def test_ranks_that_see_different_checkpoints_stop(tmp_path: Path) -> None:
    options = ["--recipe", str(recipe(tmp_path, use_bn=False)), *SMALL_VIT, "--checkpoint.every_steps", "1"]
    fit(*options, "--out", "run", "--train.max_steps", "2", cwd=tmp_path)
    codes, told = fitted(*options, cwd=tmp_path, ranks=2, out=["run", "elsewhere"])
    assert all(codes)
    wanted = "error: the processes do not see the same checkpoints (steps, by process: [2, None])"
    assert any(wanted in text for text in told), told


def test_sigterm_to_torchrun_saves_and_one_process_continues(tmp_path: Path) -> None:
    options = ["--recipe", str(recipe(tmp_path, use_bn=False)), *SMALL_VIT, "--out", "run"]
    options += ["--train.max_steps", "null", "--train.epochs", "8"]
    total = 8 * (1437 // 64)
    metrics = tmp_path / "run" / "metrics.csv"
    with (tmp_path / "stderr").open("w+") as stderr:
        command = torchrun_command(2, "-m", "sslkit", "fit", *options)
        running = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=stderr, stderr=stderr)
        deadline = time.monotonic() + 120
        while not (metrics.exists() and ",loss," in metrics.read_text()):
            assert running.poll() is None, (tmp_path / "stderr").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # torchrun passes it on to its workers, and ends with a traceback of its own
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) != 0
    said = (tmp_path / "stderr").read_text()
    assert f'File "{Path(sslkit.__file__).parent}' not in said, said[-3000:]
    stopped = [int(number) for number in re.findall(r"stopped and saved at step (\d+)", said)]
    assert stopped, said[-3000:]
    assert 0 < stopped[0] < total
    assert (tmp_path / "run" / "checkpoints" / f"step-{stopped[0]:08}").is_dir()
    fit(*options, cwd=tmp_path)
    steps = pd.read_csv(metrics).query("name == 'loss'")["step"]
    assert steps.tolist() == list(range(1, total + 1))
