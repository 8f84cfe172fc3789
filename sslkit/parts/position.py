"""Where a run stands: the only clock that parts may read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """The optimizer step that is being made.

    Schedules are pure functions of it, so a resumed run cannot disagree with an uninterrupted one.

    Attributes:
        step: optimizer steps done before this one, 0-based.
        total: optimizer steps of the whole run.
        steps_per_epoch: optimizer steps of one epoch.
    """

    step: int
    total: int
    steps_per_epoch: int

    @property
    def epoch(self) -> int:
        """The epoch that this step lies in, 0-based."""
        return self.step // self.steps_per_epoch

    @property
    def epochs(self) -> float:
        """The length of the run in epochs."""
        return self.total / self.steps_per_epoch

    @property
    def starts_epoch(self) -> bool:
        """Whether this is the first step of an epoch."""
        return self.step % self.steps_per_epoch == 0

    @property
    def ends_epoch(self) -> bool:
        """Whether this is the last step of an epoch."""
        return (self.step + 1) % self.steps_per_epoch == 0
