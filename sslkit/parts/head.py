"""The contract of a projection head or a predictor."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Features in, projections out: ``[..., D] -> [..., K]``.

    Used for the recipe's sections ``head`` (student and teacher) and ``predictor`` (student only).

    Context at build, by parameter name: ``in_dim`` (D, the width of what goes in) and ``classes`` (the
    number of classes of the data set; asking for it makes labels a requirement).

    A head may implement the acting run hooks ``before_step`` and ``after_step`` (see
    :mod:`sslkit.plugins.hookspecs`), to freeze or to renormalise its weights. They fire for the
    student's head alone, never for the teacher's copy.

    Attributes:
        out_dim: K, the width of what comes out.
    """

    out_dim: int

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Projections ``[..., K]`` of features ``[..., D]``."""
