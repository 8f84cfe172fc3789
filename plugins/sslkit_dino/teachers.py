"""Rules by which a teacher follows its student (Caron et al. 2021, section 5.2 and figure 6).

They move parameters and leave buffers alone, and remember nothing but the teacher's weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sslkit.errors import UserError
from sslkit.parts import Position, Schedule, TeacherRule, named, paired_parameters


class EMA(TeacherRule):
    """The teacher is an exponential moving average of its students: ``teacher = m teacher + (1 - m) student``.

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


class StudentCopy(TeacherRule):
    """The teacher is the student of the step before. With DINO's loss this collapses: the paper's control."""

    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Copy the student."""
        _copy(teacher, student)


def _copy(teacher: nn.Module, student: nn.Module) -> None:
    targets, sources = paired_parameters(teacher, student)
    torch._foreach_copy_(targets, sources)
