"""Keyed randomness: every draw is a function of what it is for, never of what was drawn before.

Order, crops and drop path therefore survive kills, worker counts and world sizes, and a checkpoint holds no
generator state.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _words(purpose: str, key: tuple[int | str, ...]) -> list[int]:
    # numpy pads short entropy with zeros: the purpose comes first, and a purpose always has keys of one length
    parts = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return [zlib.crc32(purpose.encode()), *parts]


def generator(purpose: str, *key: int | str) -> np.random.Generator:
    """A numpy generator that depends on nothing but its key.

    Args:
        purpose: what is drawn, such as ``"view"``; keeps draws for different purposes apart.
        key: non-negative integers below 2**32 or strings, always equally many for one purpose.
    """
    return np.random.default_rng(_words(purpose, key))


def seed_of(purpose: str, *key: int | str) -> int:
    """A 63-bit seed that depends on nothing but its key, for generators that want a number."""
    low, high = np.random.SeedSequence(_words(purpose, key)).generate_state(2)
    return (int(high) << 32 | int(low)) & (2**63 - 1)


def seed_everything(purpose: str, *key: int | str) -> None:
    """Seed the global generators of Python, numpy and torch (all devices) from a key."""
    import torch

    seed = seed_of(purpose, *key)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def isolated(purpose: str, *key: int | str) -> Iterator[None]:
    """Seed torch's CPU generator from a key for the length of a block, and put it back afterwards.

    For building a part: its initial weights depend on the seed and its slot alone, so that adding a part
    moves no other's.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed_of(purpose, *key))
        yield


@contextmanager
def keyed_randomness(device: torch.device, purpose: str, *key: int | str) -> Iterator[None]:
    """Python's, numpy's and torch's global generators depend on nothing but a key for the length of a block.

    For code and libraries that draw from them; afterwards all are as they were.

    Args:
        device: whose generator is seeded beside the CPU's.
        purpose: what is drawn.
        key: as in :func:`generator`.
    """
    import torch

    seed = seed_of(purpose, *key)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        # not torch.manual_seed: it would seed every GPU of the machine, and only one is put back
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
