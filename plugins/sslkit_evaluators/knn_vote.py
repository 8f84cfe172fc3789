"""The weighted vote of the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def knn_hits(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    *,
    ks: Sequence[int],
    temperature: float,
    chunk: int,
) -> dict[int, tuple[float, float]]:
    """Accuracy of weighted k-NN for several k in one pass over the bank.

    Each of the k neighbours of largest cosine similarity s votes for its class with exp(s / T) (Wu et al. 2018,
    section 3.4; eval_knn.py of the reference DINO). A query counts for top 5 if its class is among the min(5, k)
    classes of most votes, as the reference counts: where fewer classes than that have votes, those without any follow
    by label.

    The neighbours are found once for the largest k and their votes added up in order. Peak memory beside the
    features: two blocks ``[chunk, N]`` of float32.

    Args:
        bank: ``[N, D]``, not normalised, N at least the largest k; left as it is.
        bank_labels: ``[N]`` int64.
        queries: ``[M, D]``.
        query_labels: ``[M]`` int64.
        ks: numbers of neighbours.
        temperature: T.
        chunk: queries at a time.

    Returns:
        for each k the top-1 and top-5 accuracy in percent.
    """
    wanted = sorted(set(ks))
    classes = 1 + int(torch.cat([bank_labels, query_labels]).max())
    # norms apart from the bank: a normalised copy of it would need its memory twice
    lengths = bank.norm(dim=1).clamp_min(1e-12)
    hits = torch.zeros(len(wanted), 2, dtype=torch.int64, device=bank.device)
    for start in range(0, len(queries), chunk):
        rows = F.normalize(queries[start : start + chunk], dim=1)
        right = query_labels[start : start + chunk, None]
        similarity, neighbours = (rows @ bank.T).div_(lengths).topk(wanted[-1], dim=1)
        # relative to the nearest: the same winners, and no overflow at small temperatures
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = weights.new_zeros(len(rows), classes)
        done = 0
        for row, k in enumerate(wanted):
            votes.scatter_add_(1, bank_labels[neighbours[:, done:k]], weights[:, done:k])
            done = k
            rank = _rank(votes, right)
            hits[row, 0] += (rank < 1).sum()
            hits[row, 1] += (rank < min(5, k)).sum()
    shares = (hits.double() * 100 / len(queries)).tolist()
    return {k: (top1, top5) for k, (top1, top5) in zip(wanted, shares, strict=True)}


def _rank(votes: Tensor, right: Tensor) -> Tensor:
    """How many classes come before the right one ``[B, 1]``, from votes ``[B, C]``; of equal votes the lower comes
    first, as in a stable sort."""
    mine = votes.gather(1, right)
    classes = torch.arange(votes.shape[1], device=votes.device)
    return ((votes > mine) | ((votes == mine) & (classes < right))).sum(dim=1)
