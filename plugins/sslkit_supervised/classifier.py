"""A linear classifier."""

from __future__ import annotations

from torch import Tensor, nn

from sslkit.parts import Head


class Classifier(Head):
    """One linear layer from features to the data set's classes.

    Args:
        in_dim: width of the features.
        classes: number of classes.
    """

    def __init__(self, in_dim: int, classes: int) -> None:
        super().__init__()
        self.out_dim = classes
        self.linear = nn.Linear(in_dim, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[..., classes]`` of features ``[..., D]``."""
        logits: Tensor = self.linear(features)
        return logits
