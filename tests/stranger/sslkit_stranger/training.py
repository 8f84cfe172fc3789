"""A loss, a teacher rule, an optimizer, a schedule and a clipper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sslkit.errors import RunError
from sslkit.parts import (
    Clip,
    Loss,
    LossTerms,
    OptimizerPart,
    Outputs,
    Position,
    Schedule,
    TeacherRule,
    Views,
    ViewSpec,
    at_least_float32,
    mean_over_ranks,
    named,
    paired_parameters,
    view_partners,
)


class Centred(Loss):
    """The squared distance of the student's projections from the teacher's centred ones, of other views.

    Args:
        out_dim: width of the projections.
        views: the augmenter's views.
        momentum: of the centre.
    """

    needs = frozenset({"projections", "teacher"})
    centre: Tensor

    def __init__(self, out_dim: int, views: tuple[ViewSpec, ...], momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.partners = view_partners(views, "centred")
        self.register_buffer("centre", torch.zeros(out_dim))

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over samples and pairs of views."""
        if teacher is None:
            raise RunError("the loss 'centred' needs a teacher")
        targets = {view: at_least_float32(rows.detach()) for view, rows in teacher.projections.items()}
        distances = [
            (at_least_float32(student.projections[view]) - targets[other] + self.centre).square().mean()
            for view, others in self.partners.items()
            for other in others
        ]
        mean = torch.stack(list(targets.values())).mean((0, 1))
        return LossTerms(torch.stack(distances).mean(), {"centre": self.centre.norm()}, {"mean": mean})

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Move the centre."""
        mean = mean_over_ranks(torch.stack([update["mean"] for update in updates]).mean(0))
        self.centre.lerp_(mean, 1 - self.momentum)


class Average(TeacherRule):
    """The teacher is a moving average that begins fast.

    Args:
        share: of the student in the first step; it halves with every step.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Move the teacher."""
        targets, sources = paired_parameters(teacher, student)
        torch._foreach_lerp_(targets, sources, self.share)
        self.share /= 2

    def state_dict(self) -> dict[str, Any]:
        """The share of the next step."""
        return {"share": self.share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what state_dict gave."""
        self.share = float(state["share"])


class Descent(OptimizerPart):
    """Plain gradient descent.

    Args:
        lr: learning rate.
        weight_decay: added to the gradient.
    """

    def __init__(self, lr: Schedule = named("constant", 0.1), weight_decay: Schedule = named("constant", 0.0)) -> None:
        self.lr, self.weight_decay = lr, weight_decay

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch's SGD over the groups."""
        return torch.optim.SGD(groups, momentum=0.9)


class Fading(Schedule):
    """Halves with every epoch.

    Args:
        start: the first value.
    """

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, at: Position) -> float:
        """The value at a position."""
        return self.start * 0.5**at.epoch

    def scaled(self, factor: float) -> Fading:
        """The same from another start."""
        return Fading(self.start * factor)


class Shorten(Clip):
    """Shortens each gradient to a length.

    Args:
        length: the greatest.
    """

    def __init__(self, length: float = 1.0) -> None:
        self.length = length

    def __call__(self, gradients: Sequence[Tensor]) -> Tensor:
        """Shorten in place; the norms before."""
        norms = torch.stack([gradient.norm() for gradient in gradients])
        for gradient, norm in zip(gradients, norms, strict=True):
            gradient.mul_((self.length / (norm + 1e-12)).clamp(max=1))
        return norms
