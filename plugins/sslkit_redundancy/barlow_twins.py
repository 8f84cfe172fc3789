"""The loss of Barlow Twins."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from sslkit.parts import (
    Loss,
    LossTerms,
    Outputs,
    Position,
    Views,
    ViewSpec,
    at_least_float32,
    check_at_least,
    check_positive,
    student_views,
    sum_with_gradient,
    world_size,
)


class BarlowTwinsLoss(Loss):
    """Numbers of a projection agree between two views of an image, and are not correlated with each other.

    With C the cross-correlation of the K projections of two views over the images of all ranks, each standardised
    over them: ``sum_i (1 - C_ii)^2 + weight_off_diagonal sum_i sum_(j != i) C_ij^2`` (Zbontar et al. 2021, equations 1
    and 2); with more than two views the mean over pairs.

    Logged: ``on_diagonal`` and ``off_diagonal``, the two sums.

    Args:
        views: the augmenter's views.
        weight_off_diagonal: 0.0051 (section 3 of the paper: lambda of 5e-3; 0.0051 in its public code).
        eps: added to the variances; 1e-5: that of the BatchNorm that standardises in the public code.
    """

    batch_statistics = True

    def __init__(self, views: tuple[ViewSpec, ...], weight_off_diagonal: float = 0.0051, eps: float = 1e-5) -> None:
        super().__init__()
        check_at_least("weight_off_diagonal", weight_off_diagonal, 0)
        check_positive("eps", eps)
        self.weight_off_diagonal, self.eps = weight_off_diagonal, eps
        self._pairs = list(combinations(student_views(views, "barlow_twins"), 2))

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The value over all ranks' samples, the same on every rank, in float32 or better."""
        rows = {view: self._standardised(at_least_float32(raw)) for view, raw in student.projections.items()}
        on, off = [], []
        for one, other in self._pairs:
            total = len(rows[one]) * world_size()
            correlations = sum_with_gradient(rows[one].T @ rows[other]) / total
            diagonal = correlations.diagonal()
            on.append((1 - diagonal).square().sum())
            off.append(correlations.square().sum() - diagonal.square().sum())
        on_diagonal, off_diagonal = torch.stack(on).mean(), torch.stack(off).mean()
        logs = {"on_diagonal": on_diagonal.detach(), "off_diagonal": off_diagonal.detach()}
        return LossTerms(on_diagonal + self.weight_off_diagonal * off_diagonal, logs)

    def _standardised(self, rows: Tensor) -> Tensor:
        total = len(rows) * world_size()
        centred = rows - sum_with_gradient(rows.sum(0)) / total
        variance = sum_with_gradient(centred.square().sum(0)) / total
        return centred * (variance + self.eps).rsqrt()
