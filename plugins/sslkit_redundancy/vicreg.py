"""The loss of VICReg."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
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
    gather_with_gradient,
    student_views,
)


class VICRegLoss(Loss):
    """Views of an image agree, every number of a projection varies over the batch, and no two vary together.

    ``invariance s + variance v + covariance c`` (Bardes et al. 2022, VICReg, equations 1 to 6, in the weights and
    means of the public code): s is the mean squared difference of two views; v the mean over numbers and views of
    ``max(0, 1 - sqrt(var + eps))``; c the sum over the two views of the squared covariances of different numbers,
    divided by their count. Variances and covariances are over the images of all ranks. With more than two
    views, s is the mean over pairs and c twice the mean over views.

    Logged: ``invariance``, ``variance`` and ``covariance``, unweighted.

    Args:
        views: the augmenter's views.
        invariance: weight of s; 25.
        variance: weight of v; 25.
        covariance: weight of c; 1.
        eps: added to the variances; 1e-4.
    """

    batch_statistics = True

    def __init__(
        self,
        views: tuple[ViewSpec, ...],
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        for key, value in {"invariance": invariance, "variance": variance, "covariance": covariance}.items():
            check_at_least(key, value, 0)
        check_positive("eps", eps)
        self.invariance, self.variance, self.covariance, self.eps = invariance, variance, covariance, eps
        self._views = student_views(views, "vicreg")

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The value of this rank's samples, with all ranks' statistics, in float32 or better."""
        rows = {view: at_least_float32(student.projections[view]) for view in self._views}
        pairs = combinations(self._views, 2)
        alike = torch.stack([F.mse_loss(rows[one], rows[other]) for one, other in pairs]).mean()
        spreads, covariances = [], []
        for own in rows.values():
            everyone = gather_with_gradient(own)
            centred = everyone - everyone.mean(0)
            count = max(len(centred) - 1, 1)
            deviation = (centred.square().sum(0) / count + self.eps).sqrt()
            spreads.append(F.relu(1 - deviation).mean())
            covariances.append(_off_diagonal(centred.T @ centred / count) / own.shape[1])
        spread, covariance = torch.stack(spreads).mean(), 2 * torch.stack(covariances).mean()
        total = self.invariance * alike + self.variance * spread + self.covariance * covariance
        logs = {"invariance": alike, "variance": spread, "covariance": covariance}
        return LossTerms(total, {name: value.detach() for name, value in logs.items()})


def _off_diagonal(matrix: Tensor) -> Tensor:
    """The sum of the squares beside the diagonal."""
    return matrix.square().sum() - matrix.diagonal().square().sum()
