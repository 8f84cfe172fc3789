"""The contract of a teacher rule."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor, nn

from sslkit.parts.position import Position


class TeacherRule(ABC):
    """How the teacher follows the student.

    The teacher gets no gradient and no drop path. Of its modules only BatchNorm is in train mode, so
    its statistics come from its own batches; rules therefore move parameters and leave buffers alone
    (as the reference DINO does).

    Attributes:
        learns: whether the teacher follows the student. One that does not may be of an architecture of its own (recipe
            sections ``teacher_backbone`` and ``teacher_head``), keeps its BatchNorm statistics, and is not what the run
            is judged by.
        weights: a file that the teacher's weights come from; None: they are the student's at the start.
    """

    learns: ClassVar[bool] = True
    weights: str | None = None

    def start(self, student: nn.Module) -> nn.Module | None:
        """The teacher at the start of a run: by default a copy of the student (backbone and head)."""
        return copy.deepcopy(student)

    @abstractmethod
    def update(self, teacher: nn.Module, student: nn.Module, at: Position) -> None:
        """Move ``teacher`` after the optimizer step ``at``; in place, without gradient."""

    def state_dict(self) -> dict[str, Any]:
        """What the rule remembers besides the teacher's weights: tensors and plain numbers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave.

        Raises:
            ValueError: if ``state`` holds what this rule does not know.
        """
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {sorted(state)}")


def paired_parameters(teacher: nn.Module, student: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters of both nets in the same order, as detached tensors that share their storage.

    Args:
        teacher: a net whose parameter names are a subset of the student's.
        student: the unwrapped student.

    Raises:
        KeyError: if the teacher has a parameter that the student lacks.
    """
    source = dict(student.named_parameters())
    names: Iterable[str] = [name for name, _ in teacher.named_parameters()]
    targets = [parameter.detach() for parameter in teacher.parameters()]
    return targets, [source[name].detach() for name in names]
