"""The normalised, temperature-scaled cross-entropy of SimCLR."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F

from sslkit.parts import (
    Loss,
    LossTerms,
    Outputs,
    Position,
    Views,
    ViewSpec,
    at_least_float32,
    check_positive,
    gather_with_gradient,
    rank,
    student_views,
)


class NTXent(Loss):
    """Every view of an image is to find that image's other views among all views of all ranks' images.

    With L2-normalised projections z, for every view i and every other view j of the same image, the mean of
    ``-log(exp(z_i.z_j / T) / sum_k exp(z_i.z_k / T))`` over all k but i itself (Chen et al. 2020, equation 1; with
    more than two views the positives of i are averaged, as in Khosla et al. 2020, equation 2).

    Each rank's value is the mean over its own images, so the mean over ranks is that of one process with the whole
    batch, and so is the gradient that DDP averages. Logged: ``positive_top1``, the percentage of views whose
    most similar one is of the same image.

    Args:
        views: the augmenter's views.
        temperature: T; 0.1 for ImageNet, 0.5 for small images (the paper's sections 5.1 and B.9).
    """

    batch_statistics: ClassVar[bool] = True

    def __init__(self, views: tuple[ViewSpec, ...], temperature: float = 0.1) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        student_views(views, "ntxent")
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's views and their positives, in float32 or better."""
        stacked = torch.stack(list(student.projections.values()), dim=1)  # [B, V, K]: an image's views are neighbours
        count = stacked.shape[1]
        own = F.normalize(at_least_float32(stacked), dim=-1).flatten(0, 1)
        everyone = gather_with_gradient(own)
        here = torch.arange(len(own), device=own.device)
        self_column = rank() * len(own) + here
        itself = self_column.unsqueeze(1) == torch.arange(len(everyone), device=own.device)
        logits = (own @ everyone.T / self.temperature).masked_fill(itself, -math.inf)
        # the columns of an image's other views: the V-1 that follow a view in the circle of its image's views
        first = self_column - here % count
        turns = torch.arange(1, count, device=own.device)
        positives = logits.gather(1, first.unsqueeze(1) + (here.unsqueeze(1) + turns) % count)
        total = (logits.logsumexp(1) - positives.mean(1)).mean()
        found = logits.detach().argmax(1) // count == self_column // count
        return LossTerms(total, {"positive_top1": 100 * found.to(total.dtype).mean()})
