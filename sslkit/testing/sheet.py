"""The table of a golden file: what was compared, and what the file does not hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from sslkit.testing.agreement import Agreement, agreement


class Sheet:
    """Collects one row for each quantity that a golden file holds; others are listed as left out.

    Args:
        golden: the file's arrays by key.

    Attributes:
        rows: what was compared.
        left_out: quantities that could be computed, but the file does not say what is right.
    """

    def __init__(self, golden: Mapping[str, np.ndarray]) -> None:
        self.golden = golden
        self.rows: list[Agreement] = []
        self.left_out: list[str] = []

    def compare(self, quantity: str, found: Tensor | np.ndarray, key: str, tolerance: float = 1e-5) -> None:
        """Compare a quantity with the file's, if it has it.

        Args:
            quantity: what a person calls it.
            found: what was computed.
            key: the file's name of what is right.
            tolerance: what is fair, relative to the largest entry.
        """
        if key in self.golden:
            self.rows.append(agreement(quantity, found, self.golden[key], tolerance))
        else:
            self.left_out.append(quantity)
