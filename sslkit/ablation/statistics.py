"""Means over seeds, and differences of pairs of runs with one seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from sslkit.evaluation import intervals
from sslkit.evaluation.intervals import CONFIDENCE, Tally


@dataclass(frozen=True)
class Difference:
    """How far a cell is from the baseline, over the seeds that both have.

    Attributes:
        mean: of the differences.
        low: lower end of the 95% interval: over seeds, or with one seed over its test images; NaN where neither is
            known.
        high: upper end.
        pairs: how many seeds both have.
    """

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def separated(self) -> bool:
        """Whether the interval leaves zero out; not, where there is no interval."""
        return self.low > 0 or self.high < 0


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The mean, and the standard deviation of a sample (NaN of one value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def over_images(cell: Tally | None, baseline: Tally | None) -> Difference | None:
    """The difference of two runs on the same test images, and its paired bootstrap interval.

    Args:
        cell: which test images the cell's one run classified correctly; None: not known.
        baseline: the same of the baseline's.
    """
    gap = intervals.paired_difference(cell, baseline) if cell is not None and baseline is not None else None
    return None if gap is None else Difference(gap.mean, gap.low, gap.high, 1)


def paired_difference(cell: Mapping[int, float], baseline: Mapping[int, float]) -> Difference | None:
    """The mean of ``cell - baseline`` over common seeds, and its t-interval; None without a common seed.

    ``mean +- t(0.975, n - 1) s / sqrt(n)`` with s the standard deviation of the differences: pairs share what the seed
    fixes (order, crops, test images), which then is in no difference.
    """
    gaps = [cell[seed] - baseline[seed] for seed in cell if seed in baseline]
    if not gaps:
        return None
    mean, deviation = mean_and_deviation(gaps)
    if len(gaps) < 2:
        return Difference(mean, math.nan, math.nan, len(gaps))
    from scipy.stats import t  # here: only tables need it

    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1)) * deviation / math.sqrt(len(gaps))
    return Difference(mean, mean - reach, mean + reach, len(gaps))
