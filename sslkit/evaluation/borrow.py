"""Borrows a net from a training run: it comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_eval_mode(net: nn.Module) -> Iterator[None]:
    """Eval mode for the length of a block; afterwards every module's own mode."""
    training = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag


@contextmanager
def borrowed(net: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for the length of a block; afterwards every module's and parameter's own setting."""
    gradients = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    with in_eval_mode(net):
        net.requires_grad_(False)
        try:
            yield
        finally:
            for parameter, flag in gradients:
                parameter.requires_grad_(flag)
