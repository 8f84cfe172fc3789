"""How a run uses the processor, for its length alone: threads, and memory that is kept from step to step."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Options of glibc's mallopt(3): during a run, and usually. Large blocks come from the heap and not from mappings of
#: their own (M_MMAP_MAX); of its free end 2 GiB are kept (M_TRIM_THRESHOLD), and it grows by 64 MiB (M_TOP_PAD).
_MALLOPT = {-4: (0, 65536), -1: (2**31 - 1, 128 * 2**10), -2: (64 * 2**20, 128 * 2**10)}


@contextmanager
def processor(device: torch.device, threads: int | None) -> Iterator[None]:
    """Torch with so many CPU threads, and on a CPU with memory that is kept.

    Afterwards the threads are as before, and memory goes back to the system by glibc's defaults.

    Args:
        device: that trains.
        threads: None: as many as there are.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with _kept_memory(device):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _kept_memory(device: torch.device) -> Iterator[None]:
    """What a step frees is there for the next one; of no effect but on Linux with glibc.

    Otherwise the system takes back the large tensors that a step frees, and hands out empty pages at the next one: up
    to a tenth of a small net's step (docs/speed.md). Whoever has told glibc's malloc otherwise is left alone.
    """
    told = any(name.startswith("MALLOC_") for name in os.environ)
    told = told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    library = ctypes.CDLL(None) if device.type == "cpu" and sys.platform == "linux" else None
    if told or not hasattr(library, "mallopt"):
        yield
        return
    for option, (during, _) in _MALLOPT.items():
        library.mallopt(option, during)  # type: ignore[union-attr]
    try:
        yield
    finally:
        for option, (_, usual) in _MALLOPT.items():
            library.mallopt(option, usual)  # type: ignore[union-attr]
        library.malloc_trim(0)  # type: ignore[union-attr]
