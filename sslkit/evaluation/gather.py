"""Brings together what the ranks computed."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from sslkit.parts.collectives import world_size


def gather_rows(rows: Tensor) -> Tensor:
    """All ranks' rows in rank order, ``[N_rank, D] -> [N, D]``; a rank may have none.

    A rank without rows need not know D: it may give ``[0, 0]``. Peak memory: twice the result.
    """
    if world_size() == 1:
        return rows
    shape = torch.tensor(rows.shape, device=rows.device)
    shapes = [torch.empty_like(shape) for _ in range(world_size())]
    dist.all_gather(shapes, shape)
    counts, widths = zip(*(other.tolist() for other in shapes), strict=True)
    padded = rows.new_zeros(max(counts), max(widths))
    padded[: rows.shape[0], : rows.shape[1]] = rows
    parts = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
