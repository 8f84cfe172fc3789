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

from sslkit.engine.patience import reminding
from sslkit.errors import RunError, UserError, lost_process
from sslkit.launcher import Launched, launched
from sslkit.parts.collectives import rank, world_size
from sslkit.parts.terminal import tell

#: What torch says where the first process cannot listen at MASTER_PORT.
_NO_PORT = ("EADDRINUSE", "address already in use", "failed to bind", "failed to listen")

T = TypeVar("T")


def choose_device(wanted: str) -> torch.device:
    """The device of this process.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: if CUDA is wanted and there is none, or the launcher's variables name no device of this machine.
    """
    place = launched()
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: cuda is wanted, but this machine has no CUDA device; use cpu or auto")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if place.local_rank is None and place.processes > 1:
        raise UserError(
            f"WORLD_SIZE is {place.processes} in the environment, but LOCAL_RANK is not set: it says which GPU of its "
            "machine each process takes; torchrun sets it, and `unset WORLD_SIZE` trains in one process"
        )
    devices = torch.cuda.device_count()
    if (place.local_rank or 0) >= devices:
        raise UserError(
            f"LOCAL_RANK is {place.local_rank}, but this machine shows {devices} CUDA device{'s' * (devices != 1)}: "
            "start one process a GPU (torchrun --nproc_per_node), or use --train.device cpu"
        )
    return torch.device("cuda", place.local_rank or 0)


@contextmanager
def process_group(device: torch.device, timeout: float = 1800.0) -> Iterator[None]:
    """Join torchrun's process group for the length of a run; nothing without torchrun.

    Args:
        device: CUDA takes NCCL, the CPU gloo.
        timeout: seconds that a process waits for another one before it gives up.

    Raises:
        UserError: if the launcher's variables make no sense, or the port that they name is taken.
        RunError: if another process is lost where nothing else explains it.
    """
    place = launched()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if place.processes == 1 or dist.is_initialized():
        yield
        return
    try:
        _join(device, place, timedelta(seconds=timeout))
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


def _join(device: torch.device, place: Launched, timeout: timedelta) -> None:
    """Meet the other processes, and say so where that takes long.

    Raises:
        UserError: if this process cannot listen at the port that all of them meet at.
    """
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    waits = (
        f"process {place.rank} waits at {where} (MASTER_ADDR:MASTER_PORT) for all {place.processes} processes of this "
        f"run to start, for at most {timeout.total_seconds():.0f} s (train.rank_timeout)"
    )
    try:
        with reminding(lambda: waits, tell):
            if device.type == "cuda":
                dist.init_process_group("nccl", device_id=device, timeout=timeout)
            else:
                dist.init_process_group("gloo", timeout=timeout)
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_PORT):
            raise
        raise UserError(
            f"MASTER_PORT: the first process of the run cannot listen at port {os.environ['MASTER_PORT']} of this "
            "machine: another program, maybe another run, uses it; set MASTER_PORT to a free one "
            "(torchrun: --master_port)",
            on_every_rank=False,
        ) from error


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
