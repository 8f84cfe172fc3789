"""The loss of DINO: cross-entropy between views, with a centred and sharpened teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import Loss, LossTerms, Outputs, Position, Views, ViewSpec, mean_over_ranks


class DINOLoss(Loss):
    """The student's view v predicts what the teacher says of every other view i of the same image.

    With ``q_i = softmax((t_i - center) / teacher_temp)`` and ``p_v = softmax(s_v / student_temp)`` it is the mean of
    ``-q_i . log p_v`` over samples and over all pairs i != v (Caron et al. 2021, equations 1-3; the reference's
    ``main_dino.DINOLoss``, whose defaults these are). After the step ``center = m center + (1 - m) mean(t)``
    (equation 4), the mean over the teacher's views, all samples and all ranks.

    The teacher's temperature is constant within an epoch: epoch e of the first n has
    ``linspace(warmup_teacher_temp, teacher_temp, n)[e]``, every later one ``teacher_temp``.

    Logged: ``teacher_entropy`` (of q, in nats; log K is a uniform teacher, 0 one that always picks a single
    prototype), ``kl`` (from q to p over the pairs; 0 with either extreme is collapse: appendix, "collapse study"),
    ``teacher_temp``.

    Args:
        out_dim: K.
        views: the augmenter's views.
        student_temp: temperature of the student's softmax.
        teacher_temp: temperature of the teacher's softmax after the warm-up; lower is sharper; 0: the largest entry
            takes all.
        warmup_teacher_temp: its value in the first epoch.
        warmup_teacher_temp_epochs: epochs of the warm-up; 0: none.
        center_momentum: share of the old center that is kept at each step; 0: each step has the center of the one
            before.

    Attributes:
        center: ``[1, K]``, running mean of the teacher's outputs.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"projections", "teacher"})
    center: Tensor

    def __init__(
        self,
        out_dim: int,
        views: tuple[ViewSpec, ...],
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        warmup_teacher_temp: float = 0.04,
        warmup_teacher_temp_epochs: int = 0,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        if not (math.isfinite(student_temp) and student_temp > 0):
            raise UserError(f"student_temp is {student_temp}: a temperature must be above 0")
        for key, value in {"teacher_temp": teacher_temp, "warmup_teacher_temp": warmup_teacher_temp}.items():
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"{key} is {value}: a temperature must be 0 or more")
        if warmup_teacher_temp_epochs < 0:
            raise UserError(f"warmup_teacher_temp_epochs is {warmup_teacher_temp_epochs}: it must be 0 (none) or more")
        if not 0 <= center_momentum <= 1:
            raise UserError(f"center_momentum is {center_momentum}: it must be from 0 to 1")
        self.student_temp, self.teacher_temp, self.center_momentum = student_temp, teacher_temp, center_momentum
        self._partners = _partners(views)
        self._warmup = np.linspace(warmup_teacher_temp, teacher_temp, warmup_teacher_temp_epochs).tolist()
        self.register_buffer("center", torch.zeros(1, out_dim))

    def temperature(self, epoch: int) -> float:
        """The teacher's temperature in an epoch, 0-based."""
        return float(self._warmup[epoch]) if epoch < len(self._warmup) else self.teacher_temp

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean cross-entropy over samples and pairs, in float32 or better.

        Returns:
            ``update`` holds ``mean [1, K]``, of the teacher's outputs over views and samples.
        """
        if teacher is None:
            raise RunError("the loss 'dino' was given no teacher's outputs; add a section teacher to the recipe")
        temperature = self.temperature(at.epoch)
        raw = {view: _wide(logits.detach()) for view, logits in teacher.projections.items()}
        targets = {view: _sharpened(logits - self.center, temperature) for view, logits in raw.items()}
        total = self._cross_entropy(student.projections, targets)
        entropies = {view: torch.special.entr(target).sum(-1).mean() for view, target in targets.items()}
        logs = {
            "teacher_entropy": torch.stack(list(entropies.values())).mean(),
            "kl": total.detach()
            - torch.stack([entropies[i] for group in self._partners.values() for i in group]).mean(),
            "teacher_temp": total.new_full((), temperature),
        }
        mean = torch.stack([logits.mean(0, keepdim=True) for logits in raw.values()]).mean(0)
        return LossTerms(total, logs, {"mean": mean})

    def _cross_entropy(self, student: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """The mean over samples and pairs.

        By linearity: targets sum to 1, so those of n partners cost ``n logsumexp(s) - s . (sum of targets)``, and no
        log-softmax a pair is kept for the backward pass.
        """
        sums = {group: reduce(torch.add, [targets[i] for i in group]) for group in set(self._partners.values())}
        costs = []
        for view, group in self._partners.items():
            scaled = _wide(student[view]) / self.student_temp
            costs.append((len(group) * scaled.logsumexp(-1) - (scaled * sums[group]).sum(-1)).mean())
        return torch.stack(costs).sum() / sum(len(group) for group in self._partners.values())

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Move the center by the mean over micro-batches and ranks."""
        mean = mean_over_ranks(torch.stack([update["mean"] for update in updates]).mean(0))
        self.center.lerp_(mean.to(self.center), 1 - self.center_momentum)


def _wide(logits: Tensor) -> Tensor:
    """Half precision cannot hold a softmax over tens of thousands of prototypes."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _sharpened(logits: Tensor, temperature: float) -> Tensor:
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return F.softmax(logits / temperature, dim=-1)


def _partners(views: tuple[ViewSpec, ...]) -> dict[str, tuple[str, ...]]:
    """By the student's views: the teacher's views that they are compared with."""
    teachers = [view.id for view in views if view.teacher]
    partners = {view.id: tuple(other for other in teachers if other != view.id) for view in views if view.student}
    if not any(partners.values()):
        raise UserError(
            f"the loss 'dino' compares different views of an image, and the augmenter makes {len(partners)} for the "
            f"student and {len(teachers)} for the teacher: two views are the least (such as global_crops: 2)"
        )
    return {view: others for view, others in partners.items() if others}
