"""The loss of DINO: cross-entropy between views, with a centred and sharpened teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Loss,
    LossTerms,
    Outputs,
    Position,
    Views,
    ViewSpec,
    at_least_float32,
    check_positive,
    common_width,
    mean_over_ranks,
    view_partners,
)
from sslkit_dino.distances import DISTANCES, Distance, cross_entropy
from sslkit_dino.targets import balanced, sharpened


class DINOLoss(Loss):
    """The student's view v predicts what the teacher says of every other view i of the same image.

    With ``q_i = softmax((t_i - center) / teacher_temp)`` and ``p_v = softmax(s_v / student_temp)`` it is the mean of
    ``-q_i . log p_v`` over samples and over all pairs i != v (Caron et al. 2021, equations 1-3; the reference's
    ``main_dino.DINOLoss``, whose defaults these are). After the step ``center = m center + (1 - m) mean(t)``
    (equation 4), the mean over the teacher's views, all samples and all ranks. With a predictor in the recipe, ``s_v``
    are its predictions instead of the projections (table 7, row "with predictor").

    The teacher's temperature is constant within an epoch: epoch e of the first n has
    ``linspace(warmup_teacher_temp, teacher_temp, n)[e]``, every later one ``teacher_temp``.

    Logged: ``teacher_entropy`` (of q, in nats; log K is a uniform teacher, 0 one that always picks a single
    prototype), ``kl`` (from q to p over the pairs; 0 with either extreme is collapse: appendix, "collapse study"),
    ``teacher_temp``.

    Args:
        out_dim: K.
        views: the augmenter's views.
        teacher_out_dim: the teacher's K, where its head is another one.
        prediction_dim: K of the student's predictor, where there is one.
        student_temp: temperature of the student's softmax.
        teacher_temp: temperature of the teacher's softmax after the warm-up; lower is sharper; 0: the largest entry
            takes all.
        warmup_teacher_temp: its value in the first epoch.
        warmup_teacher_temp_epochs: epochs of the warm-up; 0: none.
        centering: what keeps single prototypes from taking all: ``mean``: the running center; ``sinkhorn``: targets
            in which every prototype has an equal share of the batch over all ranks (table 7, row "Sinkhorn"; no
            center); ``none``: nothing (collapses to one prototype: appendix, "collapse study").
        center_momentum: with ``mean``: share of the old center that is kept at each step; 0: each step has the center
            of the one before.
        sinkhorn_iterations: with ``sinkhorn``: rounds; 3: SwAV's.
        distance: ``cross_entropy``, or ``mse``: the squared distance of the two distributions (table 7, row "MSE").

    Attributes:
        center: ``[1, K]``, running mean of the teacher's outputs.
    """

    needs = frozenset({"projections", "teacher"})
    reading = (
        "This loss may rise while the features get better: it is the teacher's entropy plus the divergence (kl) of the "
        "student from it, and the target moves. Evaluate the run to see whether it learns. A collapse shows as kl near "
        "0, with an entropy near 0 or near its maximum (ln of the head's outputs)."
    )
    units: ClassVar[Mapping[str, str]] = {"loss": "nats", "teacher_entropy": "nats", "kl": "nats"}
    center: Tensor

    def __init__(
        self,
        out_dim: int,
        views: tuple[ViewSpec, ...],
        teacher_out_dim: int | None = None,
        prediction_dim: int | None = None,
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        warmup_teacher_temp: float = 0.04,
        warmup_teacher_temp_epochs: int = 0,
        centering: Literal["mean", "sinkhorn", "none"] = "mean",
        center_momentum: float = 0.9,
        sinkhorn_iterations: int = 3,
        distance: Distance = "cross_entropy",
    ) -> None:
        super().__init__()
        _check_temperatures(student_temp, teacher_temp, warmup_teacher_temp, warmup_teacher_temp_epochs)
        if not 0 <= center_momentum <= 1:
            raise UserError(f"center_momentum is {center_momentum}: it must be from 0 to 1")
        if sinkhorn_iterations < 1:
            raise UserError(f"sinkhorn_iterations is {sinkhorn_iterations}: it must be 1 or more")
        if centering == "sinkhorn" and not min(teacher_temp, warmup_teacher_temp) > 0:
            raise UserError("centering sinkhorn needs a teacher_temp and a warmup_teacher_temp above 0")
        width = common_width(out_dim, teacher_out_dim, prediction_dim)
        if prediction_dim is not None:
            self.needs = frozenset({"predictions", "teacher"})
        self.predicted = prediction_dim is not None
        self.centering, self.sinkhorn_iterations = centering, sinkhorn_iterations
        # then what a sample's target is depends on the others of its batch
        self.batch_statistics = centering == "sinkhorn"
        self.distance = DISTANCES[distance]
        self.student_temp, self.teacher_temp, self.center_momentum = student_temp, teacher_temp, center_momentum
        self._partners = view_partners(views, "dino")
        self._warmup = np.linspace(warmup_teacher_temp, teacher_temp, warmup_teacher_temp_epochs).tolist()
        self.register_buffer("center", torch.zeros(1, width))

    def temperature(self, epoch: int) -> float:
        """The teacher's temperature in an epoch, 0-based."""
        return float(self._warmup[epoch]) if epoch < len(self._warmup) else self.teacher_temp

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean distance over samples and pairs, in float32 or better.

        Returns:
            ``update`` holds ``mean [1, K]``, of the teacher's outputs over views and samples, where there is a center.
        """
        if teacher is None:
            raise RunError("the loss 'dino' was given no teacher's outputs; add a section teacher to the recipe")
        temperature = self.temperature(at.epoch)
        raw = {view: at_least_float32(logits.detach()) for view, logits in teacher.projections.items()}
        targets = self._targets(raw, temperature)
        outputs = student.predictions if self.predicted else student.projections
        scaled = {view: at_least_float32(outputs[view]) / self.student_temp for view in self._partners}
        total = self.distance(scaled, targets, self._partners)
        with torch.no_grad():
            crossed = total if self.distance is cross_entropy else cross_entropy(scaled, targets, self._partners)
        entropies = {view: torch.special.entr(target).sum(-1).mean() for view, target in targets.items()}
        logs = {
            "teacher_entropy": torch.stack(list(entropies.values())).mean(),
            "kl": crossed.detach()
            - torch.stack([entropies[i] for group in self._partners.values() for i in group]).mean(),
            "teacher_temp": total.new_full((), temperature),
        }
        if self.centering != "mean":
            return LossTerms(total, logs)
        mean = torch.stack([logits.mean(0, keepdim=True) for logits in raw.values()]).mean(0)
        return LossTerms(total, logs, {"mean": mean})

    def _targets(self, logits: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        if self.centering == "sinkhorn":
            return balanced(logits, temperature, self.sinkhorn_iterations)
        # the center stays 0 without centering
        return {view: sharpened(rows - self.center, temperature) for view, rows in logits.items()}

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Move the center, where there is one, by the mean over micro-batches and ranks."""
        if self.centering != "mean":
            return
        mean = mean_over_ranks(torch.stack([update["mean"] for update in updates]).mean(0))
        self.center.lerp_(mean.to(self.center), 1 - self.center_momentum)


def _check_temperatures(student: float, teacher: float, warmup: float, warmup_epochs: int) -> None:
    check_positive("student_temp", student)
    for key, value in {"teacher_temp": teacher, "warmup_teacher_temp": warmup}.items():
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"{key} is {value}: a temperature must be 0 or more")
    if warmup_epochs < 0:
        raise UserError(f"warmup_teacher_temp_epochs is {warmup_epochs}: it must be 0 (none) or more")
