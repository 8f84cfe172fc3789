"""Cross-entropy with the labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sslkit.errors import RunError, UserError
from sslkit.parts import Loss, LossTerms, Outputs, Position, Views, at_least_float32


class CrossEntropy(Loss):
    """Every view is to be recognised as what its image is labelled.

    The mean over samples and the student's views. Logged: ``top1``, the percentage of views that are.

    Args:
        label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016); 0: none.
    """

    needs = frozenset({"projections", "labels"})

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UserError(f"label_smoothing is {label_smoothing}: it must be at least 0 and below 1")
        self.label_smoothing = label_smoothing

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's samples, in float32 or better."""
        if views.labels is None:
            raise RunError("the loss 'cross_entropy' was given images without labels")
        logits = torch.stack([at_least_float32(rows) for rows in student.projections.values()], dim=1).flatten(0, 1)
        labels = views.labels.repeat_interleave(len(student.projections))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        right = (logits.detach().argmax(1) == labels).to(logits.dtype).mean()
        return LossTerms(loss, {"top1": 100 * right})
