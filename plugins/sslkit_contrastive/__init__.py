"""Contrastive learning: SimCLR (Chen et al. 2020), MoCo (He et al. 2020; v2, v3: Chen et al. 2020, 2021).

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
    registry.loss("ntxent", "sslkit_contrastive.ntxent:NTXent")
    registry.loss("info_nce", "sslkit_contrastive.info_nce:InfoNCE")
    registry.loss("info_nce_queue", "sslkit_contrastive.info_nce:QueueInfoNCE")
