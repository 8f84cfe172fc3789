"""Which test images a classifier got right: what intervals and paired differences are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """A classifier's answers to a test split, right or wrong.

    An image that was asked several times (as transformed copies, or by several classifiers) has several rows:
    intervals treat them as one cluster.

    Attributes:
        images: ``[M]`` int64, indices in the test split, in any order (:attr:`sslkit.parts.Features.indices`).
        right: ``[M]`` bool.
    """

    images: Tensor
    right: Tensor

    @staticmethod
    def joined(parts: list[Answers]) -> Answers:
        """All answers of several rounds, as of one classifier."""
        return Answers(torch.cat([part.images for part in parts]), torch.cat([part.right for part in parts]))
