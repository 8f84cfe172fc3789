"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sslkit.errors import RunError


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far.

    Attributes:
        step: of it.
        value: of the metric there.
        of: the recipe's ``checkpoint.best_mode`` and ``best_metric``.
    """

    step: int
    value: float
    of: str


@dataclass
class Standing:
    """Where a run stands: what ``state.json`` holds, besides what watchers remember.

    Attributes:
        step: optimizer steps done.
        data: the fingerprint of the images that the run is trained on.
        seconds: spent training, over all processes that continued the run.
        evaluations: values by the step at which they were taken.
        last_loss: of the last step that was read back.
        back_offs: steps that fp16's scaler skipped.
        nonfinite: steps that were not made because something was not finite.
        enlarged: images smaller than the largest view, counted whenever they were loaded.
        best: the best checkpoint, by the recipe's metric.
    """

    step: int = 0
    data: str = ""
    seconds: float = 0.0
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict)
    last_loss: float | None = None
    back_offs: int = 0
    nonfinite: int = 0
    enlarged: int = 0
    best: Best | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Standing:
        """What :meth:`as_data` gave.

        Raises:
            RunError: if it is of another version of sslkit.
        """
        known = {field.name for field in fields(cls)}
        if data.keys() != known:
            differing = ", ".join(sorted(data.keys() ^ known))
            raise RunError(
                f"the checkpoint was written by another version of sslkit (its state differs in: {differing}); "
                "continue it with that version (environment.json names it), or start anew with --fresh",
                on_every_rank=True,
            )
        best = data["best"]
        return cls(**{**data, "best": Best(**best) if best else None})
