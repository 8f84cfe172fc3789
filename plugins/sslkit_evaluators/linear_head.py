"""A linear head that was trained elsewhere, from the reference's eval_linear.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import read_weights

_KEYS = {"linear.weight", "linear.bias"}


@dataclass(frozen=True)
class LinearHead:
    """A trained linear classifier.

    Attributes:
        weight: ``[C, D]`` float32.
        bias: ``[C]`` float32.
    """

    weight: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """``[N, D] -> [N, C]``, where the features are."""
        return F.linear(x, self.weight.to(x.device), self.bias.to(x.device))


def read_head(path: str, width: int) -> LinearHead:
    """The head that a file holds, as the reference DINO's eval_linear.py saves it.

    That is ``{"state_dict": {"module.linear.weight": [C, D], "module.linear.bias": [C]}}``, with whatever beside
    ``state_dict``; ``module.`` and ``state_dict`` may be missing.

    Args:
        path: the file.
        width: D of the features that it is for.

    Raises:
        UserError: if it cannot be read, or holds other names or shapes; all messages begin with ``head:``.
    """
    try:
        found = read_weights(path)
    except UserError as error:
        raise UserError(f"head: {error}") from error
    inner = found.get("state_dict", found)
    weights = _by_bare_name(inner) if isinstance(inner, Mapping) else {}
    if set(weights) != _KEYS:
        held = ", ".join(sorted(map(str, weights))[:5]) or "no named tensors"
        raise UserError(
            f"head: {path} holds {held}; a head is linear.weight and linear.bias, with or without 'module.' in front"
        )
    weight, bias = weights["linear.weight"], weights["linear.bias"]
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
        raise UserError(
            f"head: {path} holds linear.weight {list(weight.shape)} and linear.bias {list(bias.shape)}, and the "
            f"features are {width} wide: [classes, {width}] and [classes] would fit; see blocks and average_patches"
        )
    if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise UserError(f"head: {path} holds values that are not finite: the training that wrote it failed")
    return LinearHead(weight.float(), bias.float())


def _by_bare_name(found: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by their names without ``module.``; other values count as no tensors at all."""
    if not all(isinstance(value, Tensor) for value in found.values()):
        return {}
    return {str(name).removeprefix("module."): value for name, value in found.items()}
