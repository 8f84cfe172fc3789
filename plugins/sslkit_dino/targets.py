"""From the teacher's logits to target distributions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import logsumexp_over_ranks


def sharpened(logits: Tensor, temperature: float) -> Tensor:
    """``softmax(logits / temperature)``, ``[..., K]``; at temperature 0 the largest entry takes all."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return F.softmax(logits / temperature, dim=-1)


def balanced(logits: Mapping[str, Tensor], temperature: float, iterations: int) -> dict[str, Tensor]:
    """Targets by Sinkhorn-Knopp: every prototype gets an equal share of all views of all samples of all ranks.

    ``exp(logits / temperature)``, then ``iterations`` times: each prototype's sum over the samples becomes 1, then each
    sample's over the prototypes (Caron et al. 2020, SwAV, appendix A; the constants there cancel). In logarithms, so
    that nothing overflows.

    Args:
        logits: ``[B, K]`` a view.
        temperature: above 0; lower is sharper.
        iterations: at least 1.
    """
    scores = torch.cat(list(logits.values())) / temperature
    for _ in range(iterations):
        scores = scores - logsumexp_over_ranks(scores)
        scores = scores.log_softmax(dim=1)
    return dict(zip(logits, scores.exp().chunk(len(logits)), strict=True))
