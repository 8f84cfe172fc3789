"""The losses of BYOL and SimSiam: predict the other view's projection, and compare by the angle alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

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
    common_width,
    mean_over_ranks,
    view_partners,
)


class _Prediction(Loss):
    """What both losses share: predictions of every view, and the other view's projections, both of unit length."""

    needs = frozenset({"predictions"})
    reading = (
        "The target moves with the nets: this loss may rise while the features get better, and a loss at its minimum "
        "can be a collapse. Look at the evaluations, and at the targets' spread (target std): near 0 all images look "
        "alike to the net."
    )
    #: The name of the loss, for messages.
    called: ClassVar[str]

    def __init__(
        self, out_dim: int, views: tuple[ViewSpec, ...], prediction_dim: int, teacher_out_dim: int | None = None
    ) -> None:
        super().__init__()
        common_width(out_dim, teacher_out_dim, prediction_dim)
        self._partners = view_partners(views, self.called, own=teacher_out_dim is None)

    @abstractmethod
    def combine(self, cosines: Tensor) -> Tensor:
        """The loss from the mean cosines ``[V]`` of the student's views."""

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's samples, in float32 or better."""
        source = teacher.projections if teacher is not None else student.projections
        targets = {view: F.normalize(at_least_float32(rows.detach()), dim=-1) for view, rows in source.items()}
        cosines = []
        for view, others in self._partners.items():
            predicted = F.normalize(at_least_float32(student.predictions[view]), dim=-1)
            cosines.append(torch.stack([(predicted * targets[other]).sum(-1).mean() for other in others]).mean())
        return LossTerms(self.combine(torch.stack(cosines)), {"target_std": _spread(targets)})


class BYOLLoss(_Prediction):
    """The student's prediction from one view is to point where the teacher's projection of the other view points.

    ``|p - z|^2 = 2 - 2 cos(p, z)`` of unit vectors, the mean over samples, summed over the student's views (Grill et
    al. 2020, BYOL, equations 2 and 3); a view with several partners takes their mean. Without a teacher (``--teacher
    null``) z is the student's own projection, without gradient.

    Logged: ``target_std``, the spread of the targets over the batch times the root of their width: about 1 where they
    point everywhere, 0 where they are all one (Chen and He 2021, figure 2).

    Args:
        out_dim: K of the student's head.
        views: the augmenter's views.
        prediction_dim: K of the student's predictor.
        teacher_out_dim: K of the teacher's head, where there is a teacher.
    """

    called = "byol"

    def combine(self, cosines: Tensor) -> Tensor:
        """See the class."""
        return (2 - 2 * cosines).sum()


class SimSiamLoss(_Prediction):
    """The student's prediction from one view is to point where its own projection of the other view points.

    The mean over samples and views of ``-cos(p, z)``, no gradient through z (Chen and He 2021, SimSiam, equations 1
    to 4). With a teacher in the recipe, z is the teacher's projection (their section 5 speaks of BYOL so).

    Logged: ``target_std``, as for the loss ``byol``.

    Args:
        out_dim: K of the student's head.
        views: the augmenter's views.
        prediction_dim: K of the student's predictor.
        teacher_out_dim: K of the teacher's head, where there is a teacher.
    """

    called = "simsiam"

    def combine(self, cosines: Tensor) -> Tensor:
        """See the class."""
        return -cosines.mean()


def _spread(targets: dict[str, Tensor]) -> Tensor:
    spreads = []
    for rows in targets.values():
        mean, square = mean_over_ranks(rows.mean(0)), mean_over_ranks(rows.square().mean(0))
        spreads.append((square - mean.square()).clamp(min=0).sqrt().mean() * rows.shape[-1] ** 0.5)
    return torch.stack(spreads).mean()
