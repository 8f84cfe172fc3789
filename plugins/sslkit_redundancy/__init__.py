"""Redundancy reduction: Barlow Twins (Zbontar et al. 2021) and VICReg (Bardes et al. 2022).

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
    registry.loss("barlow_twins", "sslkit_redundancy.barlow_twins:BarlowTwinsLoss")
    registry.loss("vicreg", "sslkit_redundancy.vicreg:VICRegLoss")
