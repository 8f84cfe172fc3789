"""What a network gives for the views that it saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """A network's outputs by view id, in the order of the views.

    Attributes:
        features: pooled backbone features ``[B, D]``.
        projections: outputs of the projection head ``[B, K]``; empty without a head.
        predictions: outputs of the predictor ``[B, K]``; empty without one (always, for a teacher).
    """

    features: Mapping[str, Tensor]
    projections: Mapping[str, Tensor] = field(default_factory=dict)
    predictions: Mapping[str, Tensor] = field(default_factory=dict)

    def detach(self) -> Outputs:
        """The same outputs cut from the graph: what watchers see."""
        return Outputs(
            features={view: tensor.detach() for view, tensor in self.features.items()},
            projections={view: tensor.detach() for view, tensor in self.projections.items()},
            predictions={view: tensor.detach() for view, tensor in self.predictions.items()},
        )
