"""DINO (Caron et al., ICCV 2021): its head, its loss, and the rules by which a teacher follows its student.

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
    registry.head("dino", "sslkit_dino.head:DINOHead")
    registry.loss("dino", "sslkit_dino.loss:DINOLoss")
    registry.teacher("ema", "sslkit_dino.teachers:EMA")
    registry.teacher("polyak", "sslkit_dino.teachers:Polyak")
    registry.teacher("frozen_epoch", "sslkit_dino.teachers:FrozenEpoch")
    registry.teacher("previous_step", "sslkit_dino.teachers:PreviousStep")
    registry.teacher("student_copy", "sslkit_dino.teachers:StudentCopy")
    registry.teacher("fixed", "sslkit_dino.teachers:Fixed")
