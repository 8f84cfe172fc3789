"""The projection head of DINO."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Head, Position


class DINOHead(Head):
    """A small MLP to a narrow bottleneck, L2 normalisation, and a wide weight-normalised layer of prototypes.

    ``Linear [BN] GELU ... Linear(bottleneck)``, then ``x / max(|x|, 1e-12)``, then ``x @ w.T`` with the rows
    ``w = g v / |v|`` (Caron et al. 2021, appendix C, and the reference's ``vision_transformer.DINOHead``). Weights
    of the MLP start from a normal of std 0.02 cut at +-2, biases at 0, ``v`` as torch's Linear starts, ``g`` at 1.

    Parameters are called as in the reference's checkpoints: ``mlp.N.*``, ``last_layer.weight_g`` and
    ``last_layer.weight_v``.

    Args:
        in_dim: width of what comes in.
        out_dim: number of prototypes, the width of what goes out.
        layers: linear layers of the MLP; 1: a single one straight to the bottleneck.
        hidden_dim: width of the MLP.
        bottleneck_dim: width that is normalised; None: no bottleneck: the MLP's last layer is as wide as the others,
            and nothing is normalised (appendix, "projection head").
        use_bn: BatchNorm after every hidden layer.
        norm_last_layer: keep ``g`` at 1, so that all prototypes have length 1; steadier, and a little worse for
            long runs.
        freeze_last_layer_epochs: for so many epochs the last layer does not learn: its gradients are dropped after
            clipping, so that neither weight decay nor the optimizer's moments see it.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int = 65536,
        layers: int = 3,
        hidden_dim: int = 2048,
        bottleneck_dim: int | None = 256,
        use_bn: bool = False,
        norm_last_layer: bool = True,
        freeze_last_layer_epochs: int = 1,
    ) -> None:
        super().__init__()
        width = hidden_dim if bottleneck_dim is None else bottleneck_dim
        counts = {"out_dim": out_dim, "layers": layers, "hidden_dim": hidden_dim, "bottleneck_dim": width}
        for key, count in counts.items():
            if count < 1:
                raise UserError(f"{key} is {count}: it must be 1 or more")
        if freeze_last_layer_epochs < 0:
            raise UserError(f"freeze_last_layer_epochs is {freeze_last_layer_epochs}: it must be 0 (never) or more")
        self.out_dim = out_dim
        self.freeze_last_layer_epochs = freeze_last_layer_epochs
        self.normalised = bottleneck_dim is not None
        self.mlp = _mlp([in_dim, *[hidden_dim] * (layers - 1), width], use_bn)
        self.last_layer = Prototypes(width, out_dim, learn_lengths=not norm_last_layer)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[..., K]`` of features ``[..., D]``; BatchNorm's statistics are over all leading dimensions."""
        rows = self.mlp(features.reshape(-1, features.shape[-1]))
        logits: Tensor = self.last_layer(F.normalize(rows, dim=-1) if self.normalised else rows)
        return logits.reshape(*features.shape[:-1], self.out_dim)

    @sslkit.hookimpl
    def before_step(self, at: Position) -> None:
        """Drop the last layer's gradients while it is frozen (the reference's ``cancel_gradients_last_layer``)."""
        if at.epoch < self.freeze_last_layer_epochs:
            for parameter in self.last_layer.parameters():
                parameter.grad = None


class Prototypes(nn.Module):
    """A linear layer without bias whose rows have a direction ``v`` and a length ``g`` (Salimans & Kingma 2016).

    Both are plain parameters: modules under ``torch.nn.utils.weight_norm`` cannot be copied, and its parametrised
    form calls them otherwise than the reference's checkpoints do.

    Args:
        in_dim: D.
        out_dim: K.
        learn_lengths: whether ``g`` is trained; else it stays at 1.

    Attributes:
        weight_g: ``[K, 1]``.
        weight_v: ``[K, D]``.
    """

    def __init__(self, in_dim: int, out_dim: int, learn_lengths: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_dim)
        self.weight_g = nn.Parameter(torch.ones(out_dim, 1), requires_grad=learn_lengths)
        self.weight_v = nn.Parameter(torch.empty(out_dim, in_dim).uniform_(-bound, bound))

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, D] -> [N, K]``."""
        return F.linear(rows, self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True)))


def _mlp(widths: list[int], use_bn: bool) -> nn.Module:
    linears = [nn.Linear(before, after) for before, after in pairwise(widths)]
    for linear in linears:
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
    if len(linears) == 1:
        return linears[0]  # bare, since the reference's keys are mlp.weight and mlp.bias then
    modules: list[nn.Module] = []
    for linear in linears[:-1]:
        modules += [linear, *([nn.BatchNorm1d(linear.out_features)] if use_bn else []), nn.GELU()]
    return nn.Sequential(*modules, linears[-1])
