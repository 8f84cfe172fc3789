"""From the teacher's logits to target distributions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import sinkhorn


def sharpened(logits: Tensor, temperature: float) -> Tensor:
    """``softmax(logits / temperature)``, ``[..., K]``; at temperature 0 the largest entry takes all."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return F.softmax(logits / temperature, dim=-1)


def balanced(logits: Mapping[str, Tensor], temperature: float, iterations: int) -> dict[str, Tensor]:
    """Targets by Sinkhorn-Knopp: every prototype gets an equal share of all views of all samples of all ranks.

    Args:
        logits: ``[B, K]`` a view.
        temperature: above 0; lower is sharper.
        iterations: at least 1.
    """
    shares = sinkhorn(torch.cat(list(logits.values())) / temperature, iterations)
    return dict(zip(logits, shares.chunk(len(logits)), strict=True))
