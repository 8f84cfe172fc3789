"""Compares gradients and weights of a golden training, tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sslkit.testing import Agreement

Golden = Mapping[str, np.ndarray]


def ours(name: str) -> str:
    """The engine's name of a tensor that the reference calls ``backbone.*`` or ``head.*``."""
    return name.replace("backbone.", "backbone.net.", 1) if name.startswith("backbone.") else name


def silent(golden: Golden, name: str) -> bool:
    """Whether a tensor's exact gradient is zero: a bias in front of a BatchNorm (whose weight has one dimension).

    The bias of the backbone's last norm is one too: what it adds to every feature, the head's first BatchNorm takes
    away again.
    """
    found = re.fullmatch(r"head\.mlp\.(\d+)\.bias", name)
    before = int(found[1]) if found else 0 if re.fullmatch(r"backbone\.(net\.)?norm\.bias", name) else None
    after = None if before is None else golden.get(f"init/head.mlp.{before + 1}.weight")
    return after is not None and after.ndim == 1


def gradient_row(golden: Golden, found: Mapping[str, Tensor]) -> Agreement:
    """The first gradients, each relative to its tensor's norm.

    The keys' third of every qkv bias, and biases in front of a BatchNorm, have an exact gradient of zero: what both
    sides have is rounding noise, and is left out.
    """
    worst = 0.0
    for key, wanted in golden.items():
        if not key.startswith("grad0/"):
            continue
        name = ours(key.removeprefix("grad0/"))
        if name not in found:
            return Agreement(f"gradients of step 0: none of {name}", float("inf"), 1e-5)
        if not silent(golden, name):
            right = torch.from_numpy(wanted).double()
            difference = _heard(name, found[name].detach().double() - right)
            worst = max(worst, float(difference.norm() / _heard(name, right).norm()))
    return Agreement("gradients of step 0, before clipping", worst, 1e-5, "of the tensor's norm")


def weight_row(golden: Golden, group: str, state: Mapping[str, Tensor]) -> Agreement:
    """Final weights, each relative to how far its tensor moved, after what rounding a weight once a step may cost.

    AdamW makes steps of up to lr out of the noise of gradients that are exactly zero: those, and the running means
    behind such a bias, are compared with 2 x lr x steps.
    """
    worst = 0.0
    for key, value in golden.items():
        if key.startswith(f"{group}/"):
            plain = key.removeprefix(f"{group}/")
            worst = max(worst, _weight_difference(golden, plain, value, state[ours(plain)]))
    return Agreement(f"{group.replace('_', ' ')} weights", worst, 1e-5, "of how far the tensor moved")


def _weight_difference(golden: Golden, plain: str, value: np.ndarray, ours_now: Tensor) -> float:
    """One tensor's difference as a share of how far it moved; a difference as large as the noise counts 1e-5."""
    # both sides move by up to lr a step, each its own way
    wanted, noise = torch.from_numpy(value).double(), 2 * float(golden["lr"].sum())
    difference = ours_now.double() - wanted
    if plain.endswith("num_batches_tracked"):
        return float("inf") if bool(difference.any()) else 0.0
    if silent(golden, plain):
        return 1e-5 * float(difference.abs().max()) / noise
    start = golden.get(f"init/{plain}")
    moved = wanted - torch.from_numpy(start).double() if start is not None else wanted
    allowed = 2.0**-24 * float(wanted.norm()) * len(golden["losses"]) ** 0.5
    if plain.endswith("running_mean"):
        allowed += noise * len(wanted) ** 0.5
    beyond = max(0.0, float(_heard(plain, difference).norm()) - allowed)
    worst = beyond / max(float(_heard(plain, moved).norm()), 1e-30) if beyond else 0.0
    if plain.endswith("qkv.bias"):
        worst = max(worst, 1e-5 * float(difference.chunk(3)[1].abs().max()) / noise)
    return worst


def _heard(name: str, tensor: Tensor) -> Tensor:
    """Without the keys' third of a qkv bias."""
    if not name.endswith("qkv.bias"):
        return tensor
    queries, _, values = tensor.chunk(3)
    return torch.cat([queries, values])
