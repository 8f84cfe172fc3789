"""LARS as a torch optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class LayerwiseSGD(torch.optim.Optimizer):
    """LARS (You et al. 2017, "Large batch training of convolutional networks"): SGD with a rate per tensor.

    With ``g' = g + weight_decay * w``, tensors of groups with ``trust`` true move along
    ``g' * trust_coefficient * |w| / |g'|`` (the factor is 1 where either norm is 0), others along ``g'``; then
    ``m = momentum * m + that`` and ``w = w - lr * m``: the reference DINO's ``utils.LARS``.

    ``timm.optim.Lars`` is not used because it computes other numbers: it divides by ``|g| + weight_decay * |w|``
    instead of ``|g'|``, and adapts according to the weight decay of a group instead of its ``trust``.

    Args:
        groups: parameter groups with ``params``, ``lr``, ``weight_decay`` and ``trust``.
        momentum: factor of the running direction.
        trust_coefficient: the step's length as a share of the tensor's norm, before ``lr``.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float, trust_coefficient: float) -> None:
        defaults = {
            "lr": 0.0, "weight_decay": 0.0, "trust": True,
            "momentum": momentum, "trust_coefficient": trust_coefficient,
        }  # fmt: skip
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter that has a gradient.

        Args:
            closure: evaluates the loss again; the engine passes none.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moving:
                self._step_group(moving, group)
        return loss

    def _step_group(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        directions = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        if group["trust"]:
            torch._foreach_mul_(directions, _trust_ratios(parameters, directions, group["trust_coefficient"]))
        for parameter, direction in zip(parameters, directions, strict=True):
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(direction)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, directions)
        torch._foreach_add_(parameters, buffers, alpha=-group["lr"])


def _trust_ratios(parameters: list[Tensor], directions: list[Tensor], coefficient: float) -> list[Tensor]:
    """``coefficient * |w| / |g'|`` a tensor, 1 where either is 0; no host sync."""
    weights, updates = (torch.stack(torch._foreach_norm(tensors)) for tensors in (parameters, directions))
    ratios = coefficient * weights / updates
    return list(torch.where((weights > 0) & (updates > 0), ratios, torch.ones_like(ratios)).unbind())
