"""Several processes: torchrun starts them, torch.distributed connects them, DDP averages their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sslkit.errors import RunError, UserError, lost_process
from sslkit.parts.collectives import rank, world_size

T = TypeVar("T")


def choose_device(wanted: str) -> torch.device:
    """The device of this process.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: if CUDA is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: cuda is wanted, but this machine has no CUDA device; use cpu or auto")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def process_group(device: torch.device, timeout: float = 1800.0) -> Iterator[None]:
    """Join torchrun's process group for the length of a run; nothing without torchrun.

    Args:
        device: CUDA takes NCCL, the CPU gloo.
        timeout: seconds that a process waits for another one before it gives up.

    Raises:
        RunError: if another process is lost where nothing else explains it.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    try:
        if device.type == "cuda":
            dist.init_process_group("nccl", device_id=device, timeout=timedelta(seconds=timeout))
        else:
            dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
        yield
    except RuntimeError as error:
        lost = lost_process(error, "outside a step")
        if lost is None:
            raise
        # torch says in its first line if they could not even meet: a port in use, a wrong address
        raise RunError(f"{lost} ({str(error).splitlines()[0]})") from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def wrap(net: nn.Module, device: torch.device) -> nn.Module:
    """The net under DDP; itself on one rank.

    Buffers are not broadcast: BatchNorm over all ranks keeps them equal.
    """
    if world_size() == 1:
        return net
    ids = [device] if device.type == "cuda" else None
    # torch renamed it, and warns of the old name
    renamed = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    no_broadcast: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return DistributedDataParallel(net, device_ids=ids, gradient_as_bucket_view=True, **no_broadcast)


@contextmanager
def gradient_sync(net: nn.Module, on: bool) -> Iterator[None]:
    """Forward and backward with or without DDP's reduction, which is wanted in the last micro-batch alone."""
    if on or not isinstance(net, DistributedDataParallel):
        yield
    else:
        with net.no_sync():
            yield


def is_first() -> bool:
    """Whether this is the rank that writes files and talks."""
    return rank() == 0


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        dist.barrier()


@contextmanager
def first_decides() -> Iterator[None]:
    """A block in which the first rank may meet a user's mistake alone: every rank then raises it.

    Raises:
        UserError: the first rank's, on all ranks.
    """
    mistake: UserError | None = None
    try:
        yield
    except UserError as error:
        mistake = error
    told = [str(mistake) if mistake else None]
    if world_size() > 1:
        dist.broadcast_object_list(told, src=0)
    if mistake is not None:
        raise mistake
    if told[0] is not None:
        raise UserError(told[0])


def from_first(value: T) -> T:
    """The first rank's value, on all ranks, which must call it together."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values, src=0)
    return values[0]
