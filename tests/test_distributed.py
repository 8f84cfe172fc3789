"""Two real gloo ranks against one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

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


def torchrun(ranks: int, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_batchnorm_over_two_ranks_is_batchnorm_on_the_joined_batch(tmp_path: Path) -> None:
    script = tmp_path / "bn.py"
    script.write_text(BN_SCRIPT)
    done = torchrun(2, str(script), cwd=tmp_path)
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
        done = torchrun(ranks, "-m", "sslkit", "fit", "--recipe", str(file), "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (pd.read_csv(tmp_path / out / "metrics.csv") for out in ("one", "two"))
    one, two = (frame[~frame["name"].str.startswith("time/")].reset_index(drop=True) for frame in (one, two))
    assert one[["step", "name"]].equals(two[["step", "name"]])
    assert len(one[one["name"] == "loss"]) == 6
    np.testing.assert_allclose(one["value"], two["value"], rtol=1e-4, atol=1e-5)
    weights = [load_file(tmp_path / out / "checkpoints/step-00000006/weights.safetensors") for out in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor.double(), weights[1][name].double(), atol=2e-5, rtol=2e-5), name
