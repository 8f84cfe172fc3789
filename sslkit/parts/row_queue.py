"""A queue of rows that a loss keeps from earlier steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.parts.collectives import gather_with_gradient, rank, world_size


class RowQueue(nn.Module):
    """The newest rows of all ranks; a part of a loss, so that it is checkpointed with it.

    Every rank holds the whole queue. Before rows are pushed it is full of random ones of unit length (MoCo's start).

    Args:
        length: rows that are kept.
        width: numbers a row.

    Attributes:
        rows: ``[length, width]``.
        written: how many were pushed so far, int64 scalar.
    """

    rows: Tensor
    written: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(length, width), dim=1))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    def push(self, rows: Tensor) -> None:
        """Let all ranks' rows ``[N, width]`` take the place of the oldest; all ranks must call it together."""
        newest = gather_with_gradient(rows.detach())[-len(self.rows) :]
        places = (self.written + torch.arange(len(newest), device=newest.device)) % len(self.rows)
        self.rows[places] = newest.to(self.rows)
        self.written += len(newest)

    def full(self) -> bool:
        """Whether all rows were pushed; costs a host sync."""
        return bool(self.written >= len(self.rows))

    def share(self) -> Tensor:
        """This rank's rows: every ``world_size``-th."""
        return self.rows[rank() :: world_size()]
