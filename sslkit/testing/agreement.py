"""How far a quantity is from what it should be, as one row of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Agreement:
    """One compared quantity.

    Attributes:
        quantity: what it is.
        difference: the worst difference, in the unit of ``tolerance``.
        tolerance: what is fair.
        unit: what the difference is relative to.
    """

    quantity: str
    difference: float
    tolerance: float
    unit: str = "of the largest entry"

    @property
    def ok(self) -> bool:
        """Whether it is within the tolerance; a difference that is not a number is not."""
        return math.isfinite(self.difference) and self.difference <= self.tolerance


def agreement(quantity: str, found: Tensor | np.ndarray, wanted: np.ndarray, tolerance: float = 1e-5) -> Agreement:
    """The worst difference of two arrays relative to the largest entry of the wanted one, in float64.

    Args:
        quantity: what they are.
        found: any shape; another shape than ``wanted`` is an infinite difference.
        wanted: what is right.
        tolerance: what is fair.
    """
    ours = np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found, dtype=np.float64)
    right = np.asarray(wanted, dtype=np.float64)
    if ours.shape != right.shape:
        return Agreement(f"{quantity}: shape {ours.shape} instead of {right.shape}", math.inf, tolerance)
    # where both are not a number, they agree
    known = ~(np.isnan(ours) & np.isnan(right))
    largest = float(np.abs(right[known]).max(initial=0.0))
    difference = float(np.abs(ours[known] - right[known]).max(initial=0.0))
    return Agreement(quantity, difference / largest if largest else difference, tolerance)
