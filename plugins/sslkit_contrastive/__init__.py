"""Contrastive learning without a teacher, as SimCLR does it (Chen et al., ICML 2020): its head and its loss.

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
    registry.head("mlp", "sslkit_contrastive.head:MLPHead")
    registry.loss("ntxent", "sslkit_contrastive.ntxent:NTXent")
