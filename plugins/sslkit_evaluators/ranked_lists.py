"""Average precision of ranked lists, as the revisited Oxford and Paris benchmark computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def average_precision(ranks: Sequence[int] | np.ndarray, positives: int) -> float:
    """The area under the precision-recall curve by trapezoids (Philbin et al. 2007), in 0..1.

    Args:
        ranks: where the positives that were found stand, 0-based and ascending.
        positives: how many there are, found or not; at least 1.
    """
    total = 0.0
    for found, rank in enumerate(ranks):
        before = found / rank if rank else 1.0
        total += (before + (found + 1) / (rank + 1)) / (2 * positives)
    return total


@dataclass(frozen=True)
class Wanted:
    """What is right for a query.

    Attributes:
        right: indices of the database that are right.
        ignored: indices that are taken out of the ranking ("junk").
    """

    right: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True)
class Ranked:
    """How good the rankings of all queries are, in 0..1.

    Attributes:
        average_precisions: ``[Q]``; not a number for a query for which nothing is right.
        precisions: mean precision at each of the cut-offs.
    """

    average_precisions: np.ndarray
    precisions: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean average precision over the queries for which something is right."""
        return _mean(self.average_precisions)


def judge_rankings(order: np.ndarray, wanted: Sequence[Wanted], cuts: Sequence[int] = (1, 5, 10)) -> Ranked:
    """Judge rankings (compute_map of the benchmark, which the reference DINO's utils.py has too).

    Precision at a cut-off counts no further than the last right image, as there: a query with two right images at ranks
    1 and 2 has a precision of 1 at 5.

    Args:
        order: ``[N, Q]``, indices of the database from the most to the least similar, a column a query.
        wanted: what is right, for each query.
        cuts: the cut-offs.
    """
    precisions = np.full((len(wanted), len(cuts)), np.nan)
    averages = np.full(len(wanted), np.nan)
    for query, want in enumerate(wanted):
        if not len(want.right):
            continue
        ranking = order[:, query]
        hits = np.isin(ranking[~np.isin(ranking, want.ignored)], want.right).nonzero()[0]
        averages[query] = average_precision(hits, len(want.right))
        for column, cut in enumerate(cuts):
            last = min(int(hits[-1]) + 1, cut) if len(hits) else cut
            precisions[query, column] = (hits < last).sum() / last
    return Ranked(averages, tuple(map(_mean, precisions.T)))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
