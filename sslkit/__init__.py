"""sslkit: plugin-based self-supervised learning for vision.

The public API, imported lazily so that ``import sslkit`` costs neither torch nor timm:

- :func:`sslkit.fit` trains from a recipe; :func:`sslkit.load_backbone` gives back what was learned;
  :func:`sslkit.ablate` compares recipes.
- :data:`sslkit.hookimpl` marks a plugin's hooks; :mod:`sslkit.parts` holds the contracts that parts implement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sslkit.ablation.api import ablate as ablate
    from sslkit.report.api import fit as fit
    from sslkit.report.load import load_backbone as load_backbone
    from sslkit.report.predict import predict as predict

__version__ = "0.1.0"
__all__ = ["__version__", "ablate", "fit", "hookimpl", "load_backbone", "predict"]

hookimpl = pluggy.HookimplMarker("sslkit")


def __getattr__(name: str) -> object:
    # import_module and not `from ... import`: torch stays out of `sslkit --help` and of entry-point modules
    from importlib import import_module

    homes = {
        "ablate": "sslkit.ablation.api",
        "fit": "sslkit.report.api",
        "load_backbone": "sslkit.report.load",
        "predict": "sslkit.report.predict",
    }
    if name in homes:
        return getattr(import_module(homes[name]), name)
    raise AttributeError(f"module 'sslkit' has no attribute {name!r}")
