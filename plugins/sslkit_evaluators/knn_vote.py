"""The weighted vote of the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.parts import gather_items, rank, world_size

#: Candidates by bf16 for every neighbour that is wanted, and numbers of candidates that are ranked anew at a time.
_CANDIDATES, _RANKED = 2, 2**25
#: Rows of the bank that are rounded to bf16 at a time.
_ROUNDED = 4096


def knn_hits(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    *,
    ks: Sequence[int],
    temperature: float,
    chunk: int,
    bf16: bool = False,
) -> dict[int, tuple[float, float]]:
    """Accuracy in percent (top 1, top 5) of weighted k-NN; arguments as of :func:`knn_right`."""
    right = knn_right(bank, bank_labels, queries, query_labels, ks=ks, temperature=temperature, chunk=chunk, bf16=bf16)
    return {k: (percent(top1), percent(top5)) for k, (top1, top5) in right.items()}


def percent(right: Tensor) -> float:
    """Share of true entries of a bool tensor ``[M]``."""
    return float(right.sum().double() * 100 / len(right))


def knn_right(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    *,
    ks: Sequence[int],
    temperature: float,
    chunk: int,
    bf16: bool = False,
) -> dict[int, tuple[Tensor, Tensor]]:
    """Which queries weighted k-NN classifies correctly, for several k in one pass over the bank.

    Each of the k neighbours of largest cosine similarity s votes for its class with exp(s / T) (Wu et al. 2018,
    section 3.4; eval_knn.py of the reference DINO). A query counts for top 5 if its class is among the min(5, k)
    classes of most votes, as the reference counts: where fewer classes than that have votes, those without any follow
    by label.

    Peak memory beside the features: two blocks ``[chunk, N]`` of float32. On several ranks each takes every n-th
    chunk, and all get the answers of all queries.

    Args:
        bank: ``[N, D]``, not normalised, N at least the largest k, the same on every rank; left as it is.
        bank_labels: ``[N]`` int64.
        queries: ``[M, D]``, the same on every rank.
        query_labels: ``[M]`` int64.
        ks: numbers of neighbours.
        temperature: T.
        chunk: queries at a time.
        bf16: find twice as many candidates by products in bf16, and compute and rank these again in float32. What bf16
            cannot tell apart may be missed: neighbours whose similarity is within about 0.004 of one that is taken.
            Half of the bank's memory more, and 128 MiB (or one query's candidates, if they need more).

    Returns:
        by k, for top 1 and for top 5, bool ``[M]`` on the CPU.
    """
    wanted = sorted(set(ks))
    # norms apart from the bank: a normalised copy of it would need its memory twice
    lengths = bank.norm(dim=1).clamp_min(1e-12)
    coarse = _coarse(bank) if bf16 else None
    # one block for all chunks: new memory for each, of which the system has to make pages, is a third of the product
    block = bank.new_empty(0 if bf16 else min(chunk, len(queries)), len(bank))
    places: list[tuple[int, np.ndarray]] = []
    for start in range(rank() * chunk, len(queries), world_size() * chunk):
        right = query_labels[start : start + chunk, None]
        rows = F.normalize(queries[start : start + chunk], dim=1)
        if coarse is None:
            products = torch.mm(rows, bank.T, out=block[: len(rows)])
            similarity, neighbours = products.div_(lengths).topk(wanted[-1], dim=1)
        else:
            similarity, neighbours = _ranked_anew(rows, bank, lengths, coarse, wanted[-1])
        found = _places(similarity / temperature, bank_labels[neighbours], right, wanted)
        places.append((start, found.cpu().numpy()))
    # chunks of all ranks, put in the order of the queries
    whole = np.concatenate([rows for _, rows in sorted(gather_items(places), key=lambda item: item[0])], axis=1)
    return {
        k: (torch.from_numpy(place < 1), torch.from_numpy(place < min(5, k)))
        for k, place in zip(wanted, whole, strict=True)
    }


def _coarse(bank: Tensor) -> Tensor:
    """The bank's unit vectors in bf16, made in blocks: a float32 copy of it would need its memory twice."""
    coarse = torch.empty_like(bank, dtype=torch.bfloat16)
    for rounded, block in zip(coarse.split(_ROUNDED), bank.split(_ROUNDED), strict=True):
        rounded.copy_(F.normalize(block, dim=1))
    return coarse


def _ranked_anew(rows: Tensor, bank: Tensor, lengths: Tensor, coarse: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of the candidates, in float32: similarities and indices ``[B, k]``.

    Args:
        rows: ``[B, D]``, unit vectors.
        bank: ``[N, D]``.
        lengths: ``[N]``, of the bank.
        coarse: ``[N, D]``, the bank's unit vectors in bf16.
        k: neighbours.
    """
    candidates = (rows.bfloat16() @ coarse.T).topk(min(_CANDIDATES * k, len(bank)), dim=1).indices
    found = []
    at_a_time = max(1, _RANKED // (candidates.shape[1] * bank.shape[1]))
    for few, near in zip(rows.split(at_a_time), candidates.split(at_a_time), strict=True):
        similarity, place = (bank[near] @ few[:, :, None])[:, :, 0].div_(lengths[near]).topk(k, dim=1)
        found.append((similarity, near.gather(1, place)))
    similarities, neighbours = zip(*found, strict=True)
    return torch.cat(similarities), torch.cat(neighbours)


def _places(scores: Tensor, labels: Tensor, right: Tensor, ks: Sequence[int]) -> Tensor:
    """How many classes come before the right one, for each k: int64 ``[K, B]``.

    Args:
        scores: ``[B, max k]``, logarithms of the weights, nearest neighbours first.
        labels: ``[B, max k]``, of the neighbours.
        right: ``[B, 1]``, of the queries.
        ks: ascending; the votes of the first k are added up on the way.
    """
    # relative to the nearest: the same winners, and no overflow at small temperatures
    weights = (scores - scores[:, :1]).exp()
    votes = weights.new_zeros(len(scores), 1 + int(torch.maximum(labels.max(), right.max())))
    places, done = [], 0
    for k in ks:
        votes.scatter_add_(1, labels[:, done:k], weights[:, done:k])
        done = k
        places.append(_place(votes, right))
    return torch.stack(places)


def _place(votes: Tensor, right: Tensor) -> Tensor:
    """How many classes come before the right one ``[B, 1]``, from votes ``[B, C]``; of equal votes the lower comes
    first, as in a stable sort."""
    mine = votes.gather(1, right)
    classes = torch.arange(votes.shape[1], device=votes.device)
    return ((votes > mine) | ((votes == mine) & (classes < right))).sum(dim=1)
