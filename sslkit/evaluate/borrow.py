"""Borrows a net from a training run, and the random generators with it: both come back as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sslkit.parts.randomness import seed_of


@contextmanager
def borrowed(net: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for the length of a block; afterwards every module's and parameter's own setting."""
    training = [(module, module.training) for module in net.modules()]
    gradients = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag
        for parameter, flag in gradients:
            parameter.requires_grad_(flag)


@contextmanager
def own_randomness(device: torch.device, purpose: str, *key: int | str) -> Iterator[None]:
    """Seed Python's, numpy's and torch's generators from a key for the length of a block, and put them back."""
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
