"""Optimizers and the rates that they want."""

from __future__ import annotations

import math
from typing import Any

import torch

from sslkit.errors import UserError
from sslkit.parts import OptimizerPart, Schedule, named
from sslkit_vision.lars import LayerwiseSGD


class AdamW(OptimizerPart):
    """AdamW (Loshchilov and Hutter 2019) with the rates of the reference DINO.

    Args:
        lr: learning rate per ``train.lr_per_images`` images; DINO's default: 5e-4, 10 epochs of warm-up.
        weight_decay: decoupled decay; DINO's default: a cosine from 0.04 up to 0.4.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the squares' mean.
    """

    def __init__(
        self,
        lr: Schedule = named("cosine", 5e-4, 1e-6, warmup_epochs=10.0),
        weight_decay: Schedule = named("cosine", 0.04, 0.4),
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        for beta in betas:
            if not 0 <= beta < 1:
                raise UserError(f"betas are {list(betas)}: each must be at least 0 and below 1")
        if not (math.isfinite(eps) and eps > 0):
            raise UserError(f"eps is {eps}: it must be above 0")
        self.lr, self.weight_decay, self.betas, self.eps = lr, weight_decay, betas, eps

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """``torch.optim.AdamW`` over the groups: one fused kernel on CPU and CUDA, else foreach."""
        devices = {parameter.device.type for group in groups for parameter in group["params"]}
        kernel = {"fused": True} if devices <= {"cpu", "cuda"} else {"foreach": True}
        return torch.optim.AdamW(groups, betas=self.betas, eps=self.eps, **kernel)


class SGD(OptimizerPart):
    """Stochastic gradient descent with momentum, with the rates of the reference DINO's ResNet-50.

    Weight decay is added to the gradient (L2), as in ``torch.optim.SGD``.

    Args:
        lr: learning rate per ``train.lr_per_images`` images; 0.03 in DINO's README for ResNet-50.
        weight_decay: 1e-4 flat in DINO's README for ResNet-50.
        momentum: factor of the running direction.
        nesterov: look ahead along it (Nesterov).
    """

    def __init__(
        self,
        lr: Schedule = named("cosine", 0.03, 1e-6, warmup_epochs=10.0),
        weight_decay: Schedule = named("constant", 1e-4),
        momentum: float = 0.9,
        nesterov: bool = False,
    ) -> None:
        _check_momentum(momentum)
        if nesterov and momentum == 0:
            raise UserError("nesterov needs a momentum above 0")
        self.lr, self.weight_decay, self.momentum, self.nesterov = lr, weight_decay, momentum, nesterov

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """``torch.optim.SGD`` over the groups, foreach."""
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov, foreach=True)


class LARS(OptimizerPart):
    """LARS (You et al. 2017) for large batches: SGD whose step a tensor is a share of the tensor's norm.

    Groups with ``trust: false`` (by default biases and one-dimensional tensors) move as in SGD.

    Args:
        lr: learning rate per ``train.lr_per_images`` images; 0.3 with 10 epochs of warm-up: SimCLR, section 2.2.
        weight_decay: added to the gradient; 1e-6: SimCLR, section 2.2.
        momentum: factor of the running direction.
        trust_coefficient: the step's length as a share of the tensor's norm, before ``lr``; 0.001: the reference
            DINO (``utils.LARS``).
    """

    def __init__(
        self,
        lr: Schedule = named("cosine", 0.3, 0.0, warmup_epochs=10.0),
        weight_decay: Schedule = named("constant", 1e-6),
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
    ) -> None:
        _check_momentum(momentum)
        if not (math.isfinite(trust_coefficient) and trust_coefficient > 0):
            raise UserError(f"trust_coefficient is {trust_coefficient}: it must be above 0")
        self.lr, self.weight_decay = lr, weight_decay
        self.momentum, self.trust_coefficient = momentum, trust_coefficient

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """LARS over the groups."""
        return LayerwiseSGD(groups, self.momentum, self.trust_coefficient)


def _check_momentum(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise UserError(f"momentum is {momentum}: it must be at least 0 and below 1")
