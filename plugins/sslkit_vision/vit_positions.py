"""Position embeddings of vision transformers at other sizes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resampled(embeddings: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings for another grid of patches (the reference's ``interpolate_pos_encoding``).

    Args:
        embeddings: ``[1, 1+N, D]``, that of the [CLS] token first, of a square grid.
        rows: of the new grid.
        columns: of the new grid.

    Returns:
        ``[1, 1 + rows * columns, D]``; the same tensor if the grid is that already.
    """
    side = math.isqrt(embeddings.shape[1] - 1)
    if rows == columns == side:
        return embeddings
    grid = embeddings[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    # the reference's 0.1 keeps rounding from losing a row; as the scale is used as given, it also moves the samples
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)
    grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
    return torch.cat([embeddings[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def fitted(state: dict[str, Tensor], wanted: Tensor) -> dict[str, Tensor]:
    """Weights whose ``pos_embed`` is resampled to the grid of another, where both are of square grids.

    Args:
        state: by name.
        wanted: ``[1, 1+N, D]``, the embeddings of the net that they are for.
    """
    given = state.get("pos_embed")
    counts = [] if given is None or given.ndim != 3 else [given.shape[1] - 1, wanted.shape[1] - 1]
    if given is None or not counts or any(count < 1 or math.isqrt(count) ** 2 != count for count in counts):
        return state
    side = math.isqrt(counts[1])
    return {**state, "pos_embed": resampled(given.float(), side, side)}
