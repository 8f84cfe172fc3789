"""The contrastive losses of a student and a teacher: in the batch (MoCo v3), and with a queue (MoCo, MoCo v2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import RunError
from sslkit.parts import (
    Loss,
    LossTerms,
    Outputs,
    Position,
    RowQueue,
    Views,
    ViewSpec,
    at_least_float32,
    check_at_least,
    check_positive,
    common_width,
    gather_with_gradient,
    rank,
    view_partners,
)


class InfoNCE(Loss):
    """A student's view is to find the teacher's other view of its image among those of all ranks' images.

    With unit-length q (the student's predictions, or projections without a predictor) and k (the teacher's
    projections): the mean over samples i of ``-2 T log(exp(q_i.k_i / T) / sum_j exp(q_i.k_j / T))`` (Chen et al.
    2021, MoCo v3, algorithm 1), summed over the student's views; a view with several partners takes their mean.

    Logged: ``positive_top1``, the percentage of views whose most similar key is of the same image.

    Args:
        out_dim: K of the student's head.
        views: the augmenter's views.
        teacher_out_dim: K of the teacher's head.
        prediction_dim: K of the student's predictor, where there is one.
        temperature: T; 0.2 for ViT-S and ResNet-50 (the public code; 1.0 in its first runs).
    """

    batch_statistics = True

    def __init__(
        self,
        out_dim: int,
        views: tuple[ViewSpec, ...],
        teacher_out_dim: int | None = None,
        prediction_dim: int | None = None,
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        common_width(out_dim, teacher_out_dim, prediction_dim)
        self.predicted, self.temperature = prediction_dim is not None, temperature
        self.needs = frozenset({"predictions" if self.predicted else "projections", "teacher"})
        self._partners = view_partners(views, "info_nce")

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's samples, in float32 or better."""
        if teacher is None:
            raise RunError("the loss 'info_nce' was given no teacher's outputs; add a section teacher to the recipe")
        queries = _unit(student.predictions if self.predicted else student.projections)
        keys = {view: gather_with_gradient(rows) for view, rows in _unit(_detached(teacher.projections)).items()}
        losses, found = [], []
        for view, others in self._partners.items():
            rows = queries[view]
            right = rank() * len(rows) + torch.arange(len(rows), device=rows.device)
            logits = [rows @ keys[other].T / self.temperature for other in others]
            losses.append(torch.stack([F.cross_entropy(logit, right) for logit in logits]).mean())
            found += [(logit.detach().argmax(1) == right).to(rows.dtype).mean() for logit in logits]
        total = 2 * self.temperature * torch.stack(losses).sum()
        return LossTerms(total, {"positive_top1": 100 * torch.stack(found).mean()})


class QueueInfoNCE(Loss):
    """A student's view is to find the teacher's other view of its image among keys of earlier steps.

    With unit-length q (the student's projections) and k (the teacher's): the mean over samples and pairs of
    ``-log(exp(q.k+ / T) / (exp(q.k+ / T) + sum_n exp(q.n / T)))``, n over the queue (He et al. 2020, MoCo, equation
    1). After the step the teacher's keys of all ranks take the place of the oldest ones in the queue. MoCo compares
    one view of the student with one of the teacher: ``augment.apart: true``.

    Logged: ``positive_top1``, the percentage of queries whose own key is the most similar.

    Args:
        out_dim: K of the student's head.
        views: the augmenter's views.
        teacher_out_dim: K of the teacher's head.
        temperature: T; 0.2: MoCo v2 (Chen et al. 2020, section 3).
        queue_length: keys that are kept; 65,536: MoCo.

    Attributes:
        queue: the keys; at first random ones.
    """

    needs = frozenset({"projections", "teacher"})

    def __init__(
        self,
        out_dim: int,
        views: tuple[ViewSpec, ...],
        teacher_out_dim: int | None = None,
        temperature: float = 0.2,
        queue_length: int = 65536,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_at_least("queue_length", queue_length, 1)
        self.temperature = temperature
        self._partners = view_partners(views, "info_nce_queue")
        self.queue = RowQueue(queue_length, common_width(out_dim, teacher_out_dim, None))

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's samples and pairs, in float32 or better.

        Returns:
            ``update`` holds the ``keys [N, K]`` of the teacher's views.
        """
        if teacher is None:
            raise RunError("the loss 'info_nce_queue' was given no teacher's outputs; add a section teacher")
        queries, keys = _unit(student.projections), _unit(_detached(teacher.projections))
        losses, found = [], []
        for view, others in self._partners.items():
            negatives = queries[view] @ self.queue.rows.to(queries[view]).T
            for other in others:
                positive = (queries[view] * keys[other]).sum(1, keepdim=True)
                logits = torch.cat([positive, negatives], dim=1) / self.temperature
                own = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
                losses.append(F.cross_entropy(logits, own))
                found.append((logits.detach().argmax(1) == 0).to(logits.dtype).mean())
        logs = {"positive_top1": 100 * torch.stack(found).mean()}
        return LossTerms(
            torch.stack(losses).mean(), logs, {"keys": torch.stack(list(keys.values()), dim=1).flatten(0, 1)}
        )

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Take the step's keys into the queue."""
        self.queue.push(torch.cat([update["keys"] for update in updates]))


def _unit(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {view: F.normalize(at_least_float32(rows), dim=-1) for view, rows in outputs.items()}


def _detached(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {view: rows.detach() for view, rows in outputs.items()}
