"""Gradient clipping without a host sync."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Clip

#: Added to a norm before dividing by it, as torch.nn.utils.clip_grad_norm_ and the reference DINO do.
_EPSILON = 1e-6


class GlobalNorm(Clip):
    """Scale all gradients together so that their joint L2 norm is at most ``max_norm``.

    Every gradient is multiplied by ``min(1, max_norm / (norm + 1e-6))``, as ``torch.nn.utils.clip_grad_norm_`` does.

    Args:
        max_norm: the largest norm of all gradients as one vector.
    """

    def __init__(self, max_norm: float = 3.0) -> None:
        self.max_norm = _checked(max_norm)

    def __call__(self, gradients: Sequence[Tensor]) -> Tensor:
        """Clip in place; the norm ``[n]`` of each gradient before clipping, float32."""
        norms = _norms(gradients)
        factor = (self.max_norm / (norms.norm() + _EPSILON)).clamp(max=1.0)
        _scale(gradients, [factor] * len(gradients))
        return norms.float()


class PerTensor(Clip):
    """Scale every gradient on its own so that its L2 norm is at most ``max_norm``.

    Every gradient is multiplied by ``min(1, max_norm / (norm + 1e-6))`` with its own norm: the clipping of the
    reference DINO (``utils.clip_gradients``).

    Args:
        max_norm: the largest norm of one parameter's gradient.
    """

    def __init__(self, max_norm: float = 3.0) -> None:
        self.max_norm = _checked(max_norm)

    def __call__(self, gradients: Sequence[Tensor]) -> Tensor:
        """Clip in place; the norm ``[n]`` of each gradient before clipping, float32."""
        norms = _norms(gradients)
        factors = (self.max_norm / (norms + _EPSILON)).clamp(max=1.0)
        _scale(gradients, factors.unbind())
        return norms.float()


def _checked(max_norm: float) -> float:
    if not (math.isfinite(max_norm) and max_norm > 0):
        raise UserError(f"max_norm is {max_norm}: it must be above 0 (leave the section clip out for no clipping)")
    return max_norm


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    """The L2 norms ``[n]`` on the first gradient's device, in float32 (float64 where a gradient is)."""
    if not gradients:
        return torch.zeros(0)
    # in half precision the squares of anything above 255 would overflow
    dtype = torch.float64 if any(gradient.dtype == torch.float64 for gradient in gradients) else torch.float32
    norms = torch._foreach_norm(list(gradients), 2, dtype=dtype)
    return torch.stack([norm.to(gradients[0].device) for norm in norms])


def _scale(gradients: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
    if not gradients:
        return
    here = [factor.to(gradient.device) for gradient, factor in zip(gradients, factors, strict=True)]
    torch._foreach_mul_(list(gradients), here)
