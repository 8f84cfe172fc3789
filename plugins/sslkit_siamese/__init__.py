"""A predictor instead of negatives: BYOL (Grill et al. 2020) and SimSiam (Chen and He 2021).

An entry-point module: it imports no torch, and names parts that are imported when a recipe asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sslkit

if TYPE_CHECKING:
    from sslkit.plugins.registry import Registrar


@sslkit.hookimpl
def sslkit_register(registry: Registrar) -> None:
    """Name the parts."""
    registry.loss("byol", "sslkit_siamese.cosine:BYOLLoss")
    registry.loss("simsiam", "sslkit_siamese.cosine:SimSiamLoss")
