"""Running statistics as they were before a step, for steps that are not made."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class HeldBuffers:
    """Keeps what forward passes move without asking: the buffers of nets (BatchNorm's running statistics).

    Args:
        nets: whose buffers; those of losses move when a step is made, and not before.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        self._buffers = [buffer for net in nets for buffer in net.buffers()]
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def keep(self) -> None:
        """Remember them as they are."""
        if not self._kept:
            self._kept = [buffer.clone() for buffer in self._buffers]
        elif self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)

    @torch.no_grad()
    def take_back(self) -> None:
        """Make them what they were."""
        if self._kept:
            torch._foreach_copy_(self._buffers, self._kept)
