"""What losses of several methods are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts.collectives import logsumexp_over_ranks
from sslkit.parts.views import ViewSpec


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32 or better: half precision holds no softmax over thousands and no covariance."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def student_views(views: tuple[ViewSpec, ...], loss: str) -> tuple[str, ...]:
    """The views that the student sees, for a loss that compares them with each other.

    Args:
        views: the augmenter's.
        loss: the name of the loss, for the message.

    Raises:
        UserError: if there are fewer than two.
    """
    seen = tuple(view.id for view in views if view.student)
    if len(seen) < 2:
        raise UserError(
            f"the loss {loss!r} compares views of an image, and the augmenter makes {len(seen)} for the student: two "
            "are the least (such as global_crops: 2, apart: false)"
        )
    return seen


def view_partners(views: tuple[ViewSpec, ...], loss: str, *, own: bool = False) -> dict[str, tuple[str, ...]]:
    """By the student's views: the image's other views that targets are made of. Views without a partner are left out.

    Args:
        views: the augmenter's.
        loss: the name of the loss, for the message.
        own: whether the student makes the targets itself, of views for the teacher that it sees too; otherwise the
            teacher makes them, of its views.

    Raises:
        UserError: if no view has a partner.
    """
    targets = [view.id for view in views if view.teacher and (view.student or not own)]
    partners = {view.id: tuple(other for other in targets if other != view.id) for view in views if view.student}
    if not any(partners.values()):
        maker = "the student again" if own else "the teacher"
        raise UserError(
            f"the loss {loss!r} compares different views of an image, and the augmenter makes {len(partners)} for the "
            f"student and {len(targets)} for {maker}: two views are the least (such as global_crops: 2)"
        )
    return {view: others for view, others in partners.items() if others}


def common_width(out_dim: int, teacher_out_dim: int | None, prediction_dim: int | None) -> int:
    """K of what is compared number by number: the student's predictions, or projections, and the teacher's projections.

    Without a teacher these are the student's own projections.

    Raises:
        UserError: if they differ.
    """
    compared, expected = prediction_dim or out_dim, teacher_out_dim or out_dim
    if compared != expected:
        raise UserError(
            f"the student's {'predictor' if prediction_dim else 'head'} gives {compared} numbers and the "
            f"{'teacher' if teacher_out_dim else 'student'}'s head {expected}: they are compared one by one; set its "
            f"out_dim to {expected}"
        )
    return expected


def sinkhorn(scores: Tensor, iterations: int) -> Tensor:
    """Assignments by Sinkhorn-Knopp: every prototype gets an equal share of all samples of all ranks, ``[N, K]``.

    ``exp(scores)``, then ``iterations`` times: each prototype's sum over the samples becomes 1, then each sample's
    over the prototypes (Caron et al. 2020, SwAV, appendix A; the constants there cancel). In logarithms, so that
    nothing overflows. No gradient.

    Args:
        scores: ``[N, K]``, divided by the temperature; N may differ between ranks.
        iterations: at least 1.
    """
    balanced = scores.detach()
    for _ in range(iterations):
        balanced = balanced - logsumexp_over_ranks(balanced)
        balanced = balanced.log_softmax(dim=1)
    return balanced.exp()
