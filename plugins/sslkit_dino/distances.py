"""How far the student's outputs are from their targets, over samples and pairs of views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

#: By the student's views: the teacher's views that they are compared with.
Partners = Mapping[str, tuple[str, ...]]
Distance = Literal["cross_entropy", "mse"]


def cross_entropy(scaled: Mapping[str, Tensor], targets: Mapping[str, Tensor], partners: Partners) -> Tensor:
    """The mean of ``-q . log softmax(s)`` over samples and pairs (Caron et al. 2021, equation 3).

    By linearity: targets sum to 1, so those of n partners cost ``n logsumexp(s) - s . (sum of targets)``, and no
    log-softmax a pair is kept for the backward pass.

    Args:
        scaled: the student's logits over their temperature, ``[B, K]`` a view.
        targets: the teacher's distributions, ``[B, K]`` a view.
        partners: which are compared.
    """
    sums = _sums(targets, partners)
    costs = []
    for view, group in partners.items():
        logits = scaled[view]
        costs.append((len(group) * logits.logsumexp(-1) - (logits * sums[group]).sum(-1)).mean())
    return torch.stack(costs).sum() / _pairs(partners)


def squared_distance(scaled: Mapping[str, Tensor], targets: Mapping[str, Tensor], partners: Partners) -> Tensor:
    """The mean of ``|q - softmax(s)|^2`` over samples and pairs: the row "MSE" of the paper's table 7.

    The paper does not say what the squares are of; here, of the two distributions. Arguments as above.
    """
    sums = _sums(targets, partners)
    lengths = {view: target.square().sum(-1) for view, target in targets.items()}
    costs = []
    for view, group in partners.items():
        p = scaled[view].softmax(-1)
        own = len(group) * p.square().sum(-1) - 2 * (p * sums[group]).sum(-1)
        costs.append((own + torch.stack([lengths[i] for i in group]).sum(0)).mean())
    return torch.stack(costs).sum() / _pairs(partners)


DISTANCES: Mapping[Distance, Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Partners], Tensor]] = {
    "cross_entropy": cross_entropy,
    "mse": squared_distance,
}


def _sums(targets: Mapping[str, Tensor], partners: Partners) -> dict[tuple[str, ...], Tensor]:
    return {group: reduce(torch.add, [targets[i] for i in group]) for group in set(partners.values())}


def _pairs(partners: Partners) -> int:
    return sum(len(group) for group in partners.values())
