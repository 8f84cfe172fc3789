"""Says which backbone weights would fit, from their names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from sslkit.parts.backbone import Backbone
from sslkit.plugins.manager import load_registry


def fitting(shapes: Mapping[str, tuple[int, ...]], section: str = "backbone") -> str:
    """The end of an error sentence: the flags of a registered backbone that such weights fit; empty if none says so.

    Args:
        shapes: of the weights, by published name.
        section: the recipe's section that the flags are for.
    """
    registry = load_registry()
    for name in registry.names("backbone"):
        flags = cast(type[Backbone], registry.find("backbone", name).load()).recognised(shapes)
        if flags is not None:
            return f"; they would fit {flags.replace('--backbone', f'--{section}')}"
    return ""
