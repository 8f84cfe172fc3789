"""Batches travel from loader processes through shared memory (/dev/shm): what happens where it is too small."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from torch import Tensor
from torch.utils.data import get_worker_info

from sslkit.errors import RunError

_PLACE = Path("/dev/shm")
_REMEDY = (
    "set train.workers to 0 (no loader processes) or use smaller batches, or give {place} more space: "
    "`mount -o remount,size=8G {place}`, in a container `docker run --shm-size=8g` or `--ipc=host`"
)


class LoaderFailed(RunError):
    """Loader processes cannot start, have died or do not answer."""


class NoSharedMemory(LoaderFailed):
    """A batch does not fit into shared memory."""


def shared(tensor: Tensor) -> Tensor:
    """In a loader process the tensor in shared memory, elsewhere the same tensor.

    torch would do it too, in a thread whose failure leaves the training waiting for this batch until its time-out.

    Raises:
        NoSharedMemory: if there is too little of it.
    """
    if get_worker_info() is None:
        return tensor
    needed, free = tensor.nbytes, free_bytes()
    # older torch would only notice when it writes, and be ended by a signal
    if free is not None and needed > free:
        raise NoSharedMemory(no_room(needed))
    try:
        tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        raise NoSharedMemory(no_room(needed)) from error
    return tensor


def check_shared_memory() -> None:
    """Try what loader processes need to start: a queue's lock lies in shared memory too.

    Raises:
        LoaderFailed: if there is none.
    """
    try:
        multiprocessing.Lock()
    except OSError as error:
        raise NoSharedMemory(
            f"loader processes cannot start, because shared memory ({_PLACE}) cannot be used "
            f"({error.strerror or error}): " + _REMEDY.format(place=_PLACE)
        ) from error


def no_room(needed: int) -> str:
    """The sentence about a tensor of this many bytes that found no room."""
    free = free_bytes()
    room = f"it has {_amount(free)} left" if free is not None else "it is not there"
    return (
        f"shared memory ({_PLACE}) is too small for the batches of the loader processes: {room}, and "
        f"{_amount(needed)} more are needed; " + _REMEDY.format(place=_PLACE)
    )


def explained(error: Exception) -> LoaderFailed | None:
    """What an error of torch's loader means; None if it is not about its processes."""
    text = str(error).rstrip()
    if isinstance(error, NoSharedMemory):
        # torch puts the worker's traceback into the message; the sentence is its last line
        return NoSharedMemory(text.splitlines()[-1].rpartition("NoSharedMemory: ")[2])
    if "Bus error" in text or "shared memory" in text or "shm" in text:
        free = free_bytes()
        left = f", which has {_amount(free)} left" if free is not None else ""
        return LoaderFailed(
            f"a loader process died: shared memory ({_PLACE}{left}) is too small for its batches; "
            + _REMEDY.format(place=_PLACE)
        )
    if "Too many open files" in text or "ancdata" in text:
        return LoaderFailed(
            "loader processes need more open files than this process may have: raise the limit (`ulimit -n 65536`), "
            "or set train.workers to a smaller number"
        )
    if "DataLoader timed out" in text:
        return LoaderFailed(
            f"a loader process hung: no batch came within train.worker_timeout ({text}); slow storage needs a longer "
            "one, and train.workers 0 shows where it hangs"
        )
    if "exited unexpectedly" in text or "is killed by signal" in text:
        hint = "; mostly the system is short of memory: fewer train.workers need less" if "Killed" in text else ""
        return LoaderFailed(f"a loader process died: {text}{hint}")
    return None


def free_bytes() -> int | None:
    """Bytes left in shared memory; None where the system has no such place."""
    try:
        found = os.statvfs(_PLACE)
    except OSError:
        return None
    # a tmpfs without a limit has no blocks
    return found.f_bavail * found.f_frsize if found.f_blocks else None


def _amount(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 // 10 else f"{size / 2**10:.0f} KiB"
