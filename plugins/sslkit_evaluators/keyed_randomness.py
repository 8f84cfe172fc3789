"""The global random generators, seeded by key for the length of a block: for libraries that draw from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sslkit.parts import seed_of


@contextmanager
def keyed_randomness(device: torch.device, purpose: str, *key: int | str) -> Iterator[None]:
    """Python's, numpy's and torch's generators depend on nothing but the key, and come back as they were.

    Args:
        device: whose generator is seeded beside the CPU's.
        purpose: what is drawn.
        key: as in :func:`sslkit.parts.generator`.
    """
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
