"""Packages that teach Pillow more image formats, where they are installed."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module

#: Modules that register their formats when they are imported, of the packages pillow-heif (HEIC, HEIF),
#: pillow-avif-plugin (AVIF, for a Pillow that was built without it) and pillow-jxl-plugin (JPEG XL).
_MODULES = ("pillow_heif.HeifImagePlugin", "pillow_avif", "pillow_jxl")


@cache
def register_pillow_plugins() -> None:
    """Let Pillow know the formats of those packages that are installed; the second call in a process costs nothing."""
    for module in _MODULES:
        with suppress(ImportError):
            import_module(module)
