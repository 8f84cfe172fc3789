"""sslkit: plugin-based self-supervised learning for vision.

The public API, imported lazily so that ``import sslkit`` costs neither torch nor timm:

- :func:`sslkit.fit` trains from a recipe; :func:`sslkit.ablate` compares recipes.
- :func:`sslkit.evaluate`, :func:`sslkit.embed` and :func:`sslkit.export` use what was trained, and
  :func:`sslkit.load_backbone` gives it back as a torch module.
- :data:`sslkit.hookimpl` marks a plugin's hooks; :mod:`sslkit.parts` holds the contracts that parts implement,
  :mod:`sslkit.errors` what is raised, and :mod:`sslkit.testing` what tests of parts need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sslkit.ablation.api import ablate as ablate
    from sslkit.report.api import embed as embed
    from sslkit.report.api import evaluate as evaluate
    from sslkit.report.api import export as export
    from sslkit.report.api import fit as fit
    from sslkit.report.load import load_backbone as load_backbone
    from sslkit.report.predict import predict as predict

__version__ = "0.1.0"
__all__ = ["__version__", "ablate", "embed", "evaluate", "export", "fit", "hookimpl", "load_backbone", "predict"]

hookimpl = pluggy.HookimplMarker("sslkit")

_HOMES = {
    "ablate": "sslkit.ablation.api",
    "embed": "sslkit.report.api",
    "evaluate": "sslkit.report.api",
    "export": "sslkit.report.api",
    "fit": "sslkit.report.api",
    "load_backbone": "sslkit.report.load",
    "predict": "sslkit.report.predict",
}
#: Public modules, which `import sslkit` leaves alone.
_MODULES = ("errors", "parts", "testing")


def __getattr__(name: str) -> object:
    # import_module and not `from ... import`: torch stays out of `sslkit --help` and of entry-point modules
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"sslkit.{name}")
    raise AttributeError(f"module 'sslkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__doc__", "__file__", "__name__", "__path__"})
