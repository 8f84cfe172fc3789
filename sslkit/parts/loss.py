"""The contract of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from sslkit.parts.outputs import Outputs
from sslkit.parts.position import Position
from sslkit.parts.views import Views


@dataclass(frozen=True)
class LossTerms:
    """What a loss says of one micro-batch.

    Attributes:
        total: scalar, with gradient, the value to minimise.
        logs: scalars worth watching, detached and left on the device.
        update: tensors that :meth:`Loss.commit` needs to move the loss's buffers, detached.
    """

    total: Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    update: Mapping[str, Tensor] = field(default_factory=dict)


class Loss(nn.Module, ABC):
    """Student and teacher outputs in, a value to minimise out.

    Context at build, by parameter name: ``out_dim`` and ``teacher_out_dim`` (K of both nets' heads),
    ``views`` (the augmenter's ``tuple[ViewSpec, ...]``), ``prediction_dim`` (K of the student's predictor; None
    without one) and ``predict`` (the predictor as it stands, as a function ``[N, K] -> [N, prediction_dim]`` without
    gradient, for projections that the loss kept; None without a predictor).

    State that moves (a center, a queue) is a registered buffer, so that it is checkpointed. ``forward``
    has no side effect; buffers move in :meth:`commit` alone, once an optimizer step and only after the
    step was found finite.

    Attributes:
        needs: what it reads: any of ``"projections"``, ``"predictions"``, ``"features"``, ``"teacher"``
            (a teacher net must exist), ``"labels"``. Checked at build; a loss for which it depends on an option sets
            its own in ``__init__``.
        batch_statistics: whether the value is more than a mean over samples (contrastive, redundancy
            reduction): then gradient accumulation is not equal to the big batch, and the run says so.
        least_batch: images of a micro-batch, over all ranks, that the value needs to teach anything; a smaller batch is
            refused before training. None: 2 with ``batch_statistics``, else 1.
        reading: one to three sentences on how to read its curve, where that is not obvious (whether it should fall);
            they stand under the picture of the loss.
        units: of the value (key ``"loss"``) and of what :class:`LossTerms` logs, by name, for pictures; such as
            ``{"loss": "nats"}``.
    """

    needs: frozenset[str] = frozenset({"projections"})
    batch_statistics: bool = False
    least_batch: int | None = None
    reading: ClassVar[str] = ""
    units: ClassVar[Mapping[str, str]] = {}

    def images_needed(self) -> int:
        """``least_batch``, or what stands for it."""
        if self.least_batch is not None:
            return self.least_batch
        return 2 if self.batch_statistics else 1

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The value of one micro-batch.

        Called outside autocast, with outputs in whatever precision the nets gave them: cast to float32
        before a softmax.
        """

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Move the buffers, after a finite step.

        Args:
            updates: the ``update`` of each micro-batch of this rank, in order. Reduce over ranks with
                :func:`sslkit.parts.collectives.mean_over_ranks` and its like.
            at: the step that was made.
        """
