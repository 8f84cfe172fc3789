"""Autocast and loss scaling."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

from sslkit.errors import RunError

_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """What both nets compute in. Weights, losses, centers, teacher updates and the optimizer stay in float32.

    Args:
        name: ``fp32``, ``bf16`` or ``fp16``; only fp16 scales its losses.
        device: where the nets are.
    """

    def __init__(self, name: Literal["fp32", "bf16", "fp16"], device: torch.device) -> None:
        self.dtype: torch.dtype | None = _DTYPES[name]
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """The context for forward passes."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)

    def backward(self, loss: Tensor) -> None:
        """Backpropagate, scaled where fp16 needs it."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn scaled gradients into true ones, in place."""
        if self.scaler.is_enabled():
            self.scaler.unscale_(optimizer)

    def grow(self) -> None:
        """After a step: let the scaler try a larger scale now and then."""
        if self.scaler.is_enabled():
            self.scaler.update()

    def back_off(self) -> None:
        """After non-finite gradients under a finite loss: shrink the scale.

        Raises:
            RunError: if it is as small as it may be: then the scale is not the fault.
        """
        scale = self.scaler.get_scale() * self.scaler.get_backoff_factor()
        if scale < 1:
            raise RunError(
                "gradients are not finite even with fp16's smallest loss scale; use train.precision bf16 or fp32"
            )
        self.scaler.update(scale)
        # update leaves the count of good steps as it was, and the next good one could already double the scale again
        self.scaler.load_state_dict({**self.scaler.state_dict(), "_growth_tracker": 0})
