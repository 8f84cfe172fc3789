"""Which BatchNorms become BatchNorms over all ranks, and that the others are refused."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from sslkit.engine.batchnorm import CrossRankBatchNorm, convert, synchronise
from sslkit.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def net() -> nn.Module:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(body, nn.Linear(36, 5), nn.BatchNorm1d(5, affine=False), nn.LayerNorm(5))


@pytest.mark.parametrize(("device", "kind"), [(CPU, CrossRankBatchNorm), (CUDA, nn.SyncBatchNorm)])
def test_torchs_own_are_replaced_and_keep_their_tensors(device: torch.device, kind: type[nn.Module]) -> None:
    before = net().train()
    before[0][1].requires_grad_(False)
    tensors = {**dict(before.named_parameters()), **dict(before.named_buffers())}
    after = convert(before, device)
    assert type(after[0][1]) is kind
    assert type(after[2]) is kind
    assert (after[0][1].eps, after[0][1].momentum, after[0][1].training) == (1e-3, 0.3, True)
    found = {**dict(after.named_parameters()), **dict(after.named_buffers())}
    assert found.keys() == tensors.keys()
    assert all(found[name] is tensor for name, tensor in tensors.items())
    assert not after[0][1].weight.requires_grad


def test_a_converted_net_gives_the_same_on_one_rank() -> None:
    images = torch.randn(6, 3, 5, 5)
    plain = net()
    converted = convert(copy.deepcopy(plain), CPU)
    for training in (True, False):
        torch.testing.assert_close(converted.train(training)(images), plain.train(training)(images))
    torch.testing.assert_close(converted.state_dict(), plain.state_dict())


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_batchnorm_with_behaviour_of_its_own_is_refused_by_its_place_and_class(device: torch.device) -> None:
    with pytest.raises(UserError, match=r"^0\.body is a BatchNormAct2d of timm.*one process, or choose a backbone"):
        convert(nn.Sequential(nn.ModuleDict({"body": BatchNormAct2d(4)})), device)
    with pytest.raises(UserError, match="is a LazyBatchNorm2d"):
        convert(nn.Sequential(nn.LazyBatchNorm2d()), device)


def test_architectures_of_either_kind() -> None:
    resnet = convert(timm.create_model("test_resnet"), CPU)
    assert not any(type(module) is nn.BatchNorm2d for module in resnet.modules())
    with pytest.raises(UserError, match="BatchNormAct2d"):
        convert(timm.create_model("test_efficientnet"), CPU)


def test_on_one_rank_everything_stays() -> None:
    layers = nn.Sequential(nn.BatchNorm2d(4), BatchNormAct2d(4))
    assert [type(module) for module in synchronise(layers, CPU)] == [nn.BatchNorm2d, BatchNormAct2d]
