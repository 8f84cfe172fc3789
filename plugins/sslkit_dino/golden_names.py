"""The tensors of a golden training by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

Golden = Mapping[str, np.ndarray]


def names_below(golden: Golden, prefix: str) -> list[str]:
    """What stands behind a prefix, in the file's order."""
    return [key.removeprefix(prefix) for key in golden if key.startswith(prefix)]


def step_count(golden: Golden) -> int:
    """How many steps the file has views of."""
    return sum(key.startswith("step") and key.endswith("/view0") for key in golden)


def ours(name: str) -> str:
    """The engine's name of a tensor that the reference calls ``backbone.*`` or ``head.*``."""
    return name.replace("backbone.", "backbone.net.", 1) if name.startswith("backbone.") else name


def silent(golden: Golden, name: str) -> bool:
    """Whether a tensor's exact gradient is zero: a bias in front of a BatchNorm (whose weight has one dimension).

    The bias of the backbone's last norm is one too: what it adds to every feature, the head's first BatchNorm takes
    away again.
    """
    found = re.fullmatch(r"head\.mlp\.(\d+)\.bias", name)
    before = int(found[1]) if found else 0 if name == "backbone.norm.bias" else None
    after = None if before is None else golden.get(f"init/head.mlp.{before + 1}.weight")
    return after is not None and after.ndim == 1
