"""The contract of a gradient clipper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor


class Clip(ABC):
    """Bounds the student's gradients after the backward pass, in place."""

    @abstractmethod
    def __call__(self, gradients: Sequence[Tensor]) -> Tensor:
        """Clip and return the norms before clipping, ``[n]`` float32 on the device; no host sync.

        Args:
            gradients: every gradient that is not None, in the order of the parameters.
        """
