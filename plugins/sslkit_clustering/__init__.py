"""Online clustering: SwAV (Caron et al. 2020).

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
    registry.head("prototypes", "sslkit_clustering.prototypes:Prototypes")
    registry.loss("swav", "sslkit_clustering.swav:SwAVLoss")
