"""What losses need of several ranks; every function is the identity on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")


def world_size() -> int:
    """Number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean of a tensor of the same shape on every rank; no gradient."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def logsumexp_over_ranks(rows: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials over all ranks' rows: ``[N, K] -> [1, K]``; no gradient."""
    if world_size() == 1:
        return rows.detach().logsumexp(dim=0, keepdim=True)
    highest = rows.detach().amax(dim=0, keepdim=True)
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    total = (rows.detach() - highest).exp().sum(dim=0, keepdim=True)
    dist.all_reduce(total)
    return total.log() + highest


def gather_items(items: Sequence[Item]) -> list[Item]:
    """All ranks' small picklable things, in rank order; all ranks must call it together."""
    if world_size() == 1:
        return list(items)
    parts: list[Sequence[Item]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


class _GatherWithGradient(torch.autograd.Function):
    """All ranks' rows; the backward pass sums what every rank's loss says of this rank's rows."""

    @staticmethod
    def forward(_ctx: object, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_ctx: object, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather_with_gradient(rows: Tensor) -> Tensor:
    """All ranks' rows in rank order, ``[B, D] -> [ranks * B, D]``, with gradient to every rank.

    DDP averages gradients over ranks: a loss that is the mean over *all* ranks' rows, computed alike on
    every rank, then gets the gradient of one process with the whole batch.
    """
    if world_size() == 1:
        return rows
    return _GatherWithGradient.apply(rows)  # type: ignore[no-any-return]


class _SumWithGradient(torch.autograd.Function):
    """The sum over ranks; its gradient is the sum over ranks too."""

    @staticmethod
    def forward(_ctx: object, tensor: Tensor) -> Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: object, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def sum_with_gradient(tensor: Tensor) -> Tensor:
    """The sum of a tensor of the same shape on every rank, with gradient to every rank."""
    if world_size() == 1:
        return tensor
    return _SumWithGradient.apply(tensor)  # type: ignore[no-any-return]
