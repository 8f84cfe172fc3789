"""Prototypes: directions that projections are compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Head, Position, at_least_float32


class Prototypes(Head):
    """Similarities to K directions of unit length; the predictor of SwAV.

    A linear layer without bias, whose rows are of unit length before each step (Caron et al. 2020, SwAV, appendix A;
    the public code ``main_swav.py``). It expects unit-length projections: ``head: {name: mlp, unit_length: true}``.

    Args:
        in_dim: width of the projections.
        out_dim: K, the number of prototypes; 3000: SwAV on ImageNet.
        freeze_steps: steps at the start in which they do not move; 313: one epoch of batches of 4096, as in SwAV.
    """

    def __init__(self, in_dim: int, out_dim: int = 3000, freeze_steps: int = 313) -> None:
        super().__init__()
        if out_dim < 1:
            raise UserError(f"out_dim is {out_dim}: it must be 1 prototype or more")
        if freeze_steps < 0:
            raise UserError(f"freeze_steps is {freeze_steps}: it must be 0 or more")
        self.out_dim, self.freeze_steps = out_dim, freeze_steps
        self.directions = nn.Linear(in_dim, out_dim, bias=False)
        self._normalise()

    def forward(self, features: Tensor) -> Tensor:
        """Similarities ``[..., K]`` of projections ``[..., D]``; never in half precision: they are divided by 0.05."""
        with torch.autocast(features.device.type, enabled=False):
            similarities: Tensor = self.directions(at_least_float32(features))
        return similarities

    @sslkit.hookimpl
    def before_step(self, at: Position) -> None:
        """Freeze the prototypes at the start."""
        if at.step < self.freeze_steps:
            self.directions.weight.grad = None

    @sslkit.hookimpl
    def after_step(self) -> None:
        """Bring the prototypes back to unit length."""
        self._normalise()

    @torch.no_grad()
    def _normalise(self) -> None:
        weight = self.directions.weight
        weight.copy_(nn.functional.normalize(weight, dim=1))
