"""The MLP head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslkit.errors import UserError
from sslkit_vision.mlp_head import MLPHead


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({}, ["Linear", "BatchNorm1d", "ReLU", "Linear"]),
        ({"layers": 1}, ["Linear"]),
        ({"layers": 1, "last_bn": True}, ["Linear", "BatchNorm1d"]),
        ({"layers": 3, "use_bn": False}, ["Linear", "ReLU", "Linear", "ReLU", "Linear"]),
        ({"last_bn": True}, ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]),
    ],
)
def test_layers(options: dict[str, int], layers: list[str]) -> None:
    head = MLPHead(6, hidden_dim=8, out_dim=4, **options)
    assert [type(module).__name__ for module in head.mlp] == layers
    for module, following in zip(head.mlp, [*head.mlp[1:], None], strict=True):
        if isinstance(module, nn.Linear):
            assert (module.bias is None) == isinstance(following, nn.BatchNorm1d)
    assert head(torch.randn(5, 6)).shape == (5, head.out_dim) == (5, 4)


def test_defaults_are_the_papers() -> None:
    head = MLPHead(10)
    assert [tuple(p.shape) for p in head.parameters()] == [(2048, 10), (2048,), (2048,), (128, 2048), (128,)]


def test_any_leading_dimensions() -> None:
    head = MLPHead(6, hidden_dim=8, out_dim=4)
    features = torch.randn(3, 5, 6)
    torch.testing.assert_close(head(features), head(features.flatten(0, 1)).view(3, 5, 4))
    assert head.eval()(features[0, 0]).shape == (4,)


@pytest.mark.parametrize("key", ["hidden_dim", "out_dim", "layers"])
def test_bad_options_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=f"^{key} is 0: "):
        MLPHead(6, **{key: 0})
