"""Training with labels: the baseline that self-supervised methods are compared with.

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
    registry.head("classifier", "sslkit_supervised.classifier:Classifier")
    registry.loss("cross_entropy", "sslkit_supervised.cross_entropy:CrossEntropy")
