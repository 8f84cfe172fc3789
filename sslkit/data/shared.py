"""Batches travel from loader processes through shared memory (/dev/shm): what happens where it is too small."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
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


def check_shared_memory(workers: int) -> None:
    """Try what loader processes need to start: the locks of their queues lie in shared memory too.

    Args:
        workers: loader processes.

    Raises:
        NoSharedMemory: if there is too little of it.
    """
    try:
        # three a queue, each worker has one, and they share one and an event
        locks = [multiprocessing.Lock() for _ in range(3 * workers + 8)]
    except OSError as error:
        raise NoSharedMemory(
            f"loader processes cannot start, because shared memory ({_PLACE}) cannot be used "
            f"({error.strerror or error}): " + _REMEDY.format(place=_PLACE)
        ) from error
    del locks


def no_room(needed: int) -> str:
    """The sentence about a tensor of this many bytes that found no room."""
    free = free_bytes()
    room = f"it has {_amount(free)} left" if free is not None else "it is not there"
    return (
        f"shared memory ({_PLACE}) is too small for the batches of the loader processes: {room}, and "
        f"{_amount(needed)} more are needed; " + _REMEDY.format(place=_PLACE)
    )


def explained(error: Exception, ended: Sequence[int | None] = ()) -> LoaderFailed | None:
    """What an error of torch's loader means; None if it is not about its processes.

    Args:
        error: whatever iterating over it raised.
        ended: exit codes of its processes; None: it has not ended; negative: the signal that ended it.
    """
    # a file that lies there is no news of the room
    text = str(error).rstrip().replace(f"{_PLACE}/", "")
    if isinstance(error, NoSharedMemory):
        # torch puts the worker's traceback into the message; the sentence is its last line
        return NoSharedMemory(text.splitlines()[-1].rpartition("NoSharedMemory: ")[2])
    if -signal.SIGBUS in ended or any(words in text for words in ("Bus error", "shared memory", "shm")):
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
        killed = -signal.SIGKILL in ended
        hint = "; it was killed: mostly the system is short of memory, and fewer train.workers need less"
        return LoaderFailed(f"a loader process died: {text}{hint if killed else ''}")
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
