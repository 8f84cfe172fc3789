"""How far numbers are beyond their noise: 95% intervals of shares, and of differences on the same test images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sslkit.parts.answers import Answers
from sslkit.parts.randomness import generator

#: Of all intervals.
CONFIDENCE = 0.95
#: Resamples of the bootstrap: the ends of an interval then move by about 1% of its width from key to key.
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Tally:
    """How often each test image was asked and classified correctly.

    Attributes:
        right: ``[N]`` int32, by the image's index; N is at least the highest index plus 1.
        asked: ``[N]`` int32; 0: the image could not be read.
    """

    right: np.ndarray
    asked: np.ndarray

    @classmethod
    def of(cls, answers: Answers) -> Tally:
        """Count answers by image."""
        images = answers.images.cpu().numpy()
        right = np.bincount(images, weights=answers.right.cpu().numpy(), minlength=0)
        return cls(right.astype(np.int32), np.bincount(images).astype(np.int32))

    @property
    def images(self) -> int:
        """How many images were asked."""
        return int((self.asked > 0).sum())

    @property
    def percent(self) -> float:
        """Share of right answers."""
        return 100 * float(self.right.sum() / self.asked.sum())


@dataclass(frozen=True)
class Difference:
    """How far one number is from another that was measured on the same test images; all in points.

    Attributes:
        mean: the difference.
        low: lower end of its 95% interval.
        high: upper end.
        images: how many test images both were measured on.
    """

    mean: float
    low: float
    high: float
    images: int

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def share_interval(tally: Tally) -> tuple[float, float]:
    """The 95% interval of a share, in percent: Wilson's (1927).

    Where an image was asked several times, its answers resemble each other: Wilson's interval then takes the number of
    independent answers that would have the observed variance between images (Kish's design effect), at least one and
    at most all of an image.

    Raises:
        ValueError: if no image was asked.
    """
    asked = tally.asked[tally.asked > 0]
    if not len(asked):
        raise ValueError("no image was asked")
    shares = tally.right[tally.asked > 0] / asked
    share, images = float(tally.right.sum() / asked.sum()), len(asked)
    variance = float(np.square(shares - shares.mean()).mean()) / images
    if share in (0, 1):
        return _wilson(share, images)
    independent = share * (1 - share) / variance if variance else math.inf
    return _wilson(share, min(max(independent, images), float(asked.sum())))


def _wilson(share: float, n: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # the ends at shares of 0 and 1 are exact; rounding would leave them a hair off
    low, high = (0.0 if share == 0 else centre - reach), (1.0 if share == 1 else centre + reach)
    return 100 * low, 100 * high


def paired_difference(one: Tally, other: Tally) -> Difference | None:
    """``one - other`` on the images that both were asked, with its paired bootstrap 95% interval.

    Images are resampled with replacement, each with both of its answers, and the interval holds the middle 95% of the
    mean differences (percentiles). An image's difference has few values (-1, 0 and 1, where it was asked once), so a
    resample is one multinomial draw of their counts. The draws depend on nothing: the same answers give the same
    interval.

    Returns:
        None with fewer than two common images.
    """
    length = min(len(one.asked), len(other.asked))
    both = (one.asked[:length] > 0) & (other.asked[:length] > 0)
    if both.sum() < 2:
        return None
    gaps = _shares(one, both) - _shares(other, both)
    # rounding: 3/5 - 2/5 and 2/5 - 1/5 are one value
    values, counts = np.unique(gaps.round(9), return_counts=True)
    images = len(gaps)
    resampled = generator("paired_bootstrap").multinomial(images, counts / images, size=_RESAMPLES)
    low, high = np.percentile(resampled @ values / images, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Difference(100 * float(gaps.mean()), 100 * float(low), 100 * float(high), images)


def _shares(tally: Tally, of: np.ndarray) -> np.ndarray:
    """Share of right answers of these images, each ``[0, 1]``."""
    shares: np.ndarray = tally.right[: len(of)][of] / tally.asked[: len(of)][of]
    return shares
