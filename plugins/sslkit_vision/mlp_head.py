"""The projection head, and predictor, of most methods but DINO."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts import Head


class MLPHead(Head):
    """A multi-layer perceptron: ``Linear [BN] ReLU ... Linear [BN]``.

    The defaults are SimCLR's for ResNet-50 (Chen et al. 2020, section 4.2: 2048 hidden units, 128 out). Linear layers
    before a BatchNorm have no bias; their weights start as torch's do.

    Args:
        in_dim: width of what comes in.
        hidden_dim: width of the hidden layers.
        out_dim: width of what goes out.
        layers: linear layers; 1: no hidden one.
        use_bn: BatchNorm after every hidden layer.
        last_bn: BatchNorm after the last layer too (SimCLR's public code has it, the paper does not speak of it).
        last_affine: whether that one has a learned scale and shift (not in SimSiam's projector and MoCo v3).
        unit_length: outputs are divided by their length (SwAV).
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int = 2048,
        out_dim: int = 128,
        layers: int = 2,
        use_bn: bool = True,
        last_bn: bool = False,
        last_affine: bool = True,
        unit_length: bool = False,
    ) -> None:
        super().__init__()
        for key, count in {"hidden_dim": hidden_dim, "out_dim": out_dim, "layers": layers}.items():
            if count < 1:
                raise UserError(f"{key} is {count}: it must be 1 or more")
        self.out_dim, self.unit_length = out_dim, unit_length
        widths = [in_dim, *[hidden_dim] * (layers - 1)]
        hidden = [module for sizes in pairwise(widths) for module in (*_layer(*sizes, use_bn), nn.ReLU())]
        self.mlp = nn.Sequential(*hidden, *_layer(widths[-1], out_dim, last_bn, last_affine))

    def forward(self, features: Tensor) -> Tensor:
        """Projections ``[..., K]`` of features ``[..., D]``; BatchNorm's statistics are over all leading dimensions."""
        rows: Tensor = self.mlp(features.reshape(-1, features.shape[-1]))
        rows = F.normalize(rows, dim=-1) if self.unit_length else rows
        return rows.reshape(*features.shape[:-1], self.out_dim)


def _layer(before: int, after: int, bn: bool, affine: bool = True) -> list[nn.Module]:
    return [nn.Linear(before, after, bias=not bn), *([nn.BatchNorm1d(after, affine=affine)] if bn else [])]
