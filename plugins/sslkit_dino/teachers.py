"""Rules by which a teacher follows its student (Caron et al. 2021, section 5.2 and figure 6), or does not.

They move parameters and leave buffers alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts import PathOption, Position, Schedule, TeacherRule, named, paired_parameters


class EMA(TeacherRule):
    """The teacher is an exponential moving average of its students: ``teacher = m teacher + (1 - m) student``.

    With a constant momentum this is the mean teacher (Tarvainen and Valpola 2017): ``--teacher.momentum 0.999``.

    Args:
        momentum: m of every step, from 0 to 1; the reference's cosine from 0.996 to 1 (``main_dino.py``), which
            advises 0.9995 for batches of 256.
    """

    def __init__(self, momentum: Schedule = named("cosine", 0.996, 1.0)) -> None:
        self.momentum = momentum
        # along a run of some length: a mistake is told before anything is trained
        for step in range(0, 1001, 20):
            self._checked(Position(step, 1001, 1), "in the course of a run")

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Move the teacher by the momentum of the step ``at``."""
        momentum = self._checked(at, f"at step {at.step}")
        targets, sources = paired_parameters(teacher, student)
        # the reference's two roundings and not lerp's one: where m is near 1 a step moves a weight by few of them
        torch._foreach_mul_(targets, momentum)
        torch._foreach_add_(targets, torch._foreach_mul(sources, 1 - momentum))

    def _checked(self, at: Position, when: str) -> float:
        momentum = self.momentum(at)
        if not 0 <= momentum <= 1:
            raise UserError(f"momentum is {momentum} {when}: it must be from 0 to 1")
        return momentum


class FrozenEpoch(TeacherRule):
    """The teacher is the student as it was when the epoch began.

    Args:
        every: epochs that a teacher stays for.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise UserError(f"every is {every}: a teacher stays for 1 epoch or more")
        self.every = every
        self._since = 0

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Copy the student after the last step of every ``every``-th epoch.

        Where that step was not made (fp16's loss scaling backed off), after the next one that is.
        """
        period = (at.step + 1) // at.steps_per_epoch // self.every
        if period > self._since:
            self._since = period
            _copy(teacher, student)

    def state_dict(self) -> dict[str, Any]:
        """Since which period of ``every`` epochs the teacher stands."""
        return {"since": self._since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._since = int(state["since"])


class Polyak(TeacherRule):
    """The teacher is the plain average of all students so far, the initial one among them (Polyak and Juditsky 1992).

    ``teacher = teacher + (student - teacher) / (n + 1)`` after the n-th step that was made.
    """

    def __init__(self) -> None:
        self._steps = 0

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Take the student into the average."""
        self._steps += 1
        targets, sources = paired_parameters(teacher, student)
        torch._foreach_lerp_(targets, sources, 1 / (self._steps + 1))

    def state_dict(self) -> dict[str, Any]:
        """How many students are in the average besides the initial one."""
        return {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._steps = int(state["steps"])


class PreviousStep(TeacherRule):
    """The teacher is the student as it was one step before: the "previous iteration" of the paper's figure 6.

    With DINO's loss this collapses, as the paper reports. It needs the memory of one more copy of the student.
    """

    def __init__(self) -> None:
        self._next: dict[str, Tensor] = {}

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Give the teacher the student that this step began with, and keep the one that it made for the next."""
        targets, sources = paired_parameters(teacher, student)
        names = [name for name, _ in teacher.named_parameters()]
        if self._next:
            torch._foreach_copy_(
                targets, [self._next[name].to(target) for name, target in zip(names, targets, strict=True)]
            )
        self._next = {name: source.clone() for name, source in zip(names, sources, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """The student that the next step begins with, as the teacher will have it after that step."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._next = dict(state["next"])


class Fixed(TeacherRule):
    """The teacher comes from a file and stays as it is: knowledge distillation.

    It has the student's architecture, or its own: ``--teacher_backbone vit --teacher_backbone.arch base`` (and
    ``teacher_head``, where its head is not like the student's).

    Args:
        weights: a checkpoint of a run (``checkpoints/step-N/weights.safetensors``), or any other file that
            ``sslkit eval --weights`` takes; with the projection head, if the recipe has a head.
    """

    learns = False

    def __init__(self, weights: PathOption) -> None:
        self.weights = weights

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Nothing moves."""


class StudentCopy(TeacherRule):
    """The teacher is the student itself, without gradient. With DINO's loss this collapses: the paper's control."""

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Copy the student."""
        _copy(teacher, student)


def _copy(teacher: nn.Module, student: nn.Module) -> None:
    targets, sources = paired_parameters(teacher, student)
    torch._foreach_copy_(targets, sources)
