"""DINO's head: the reference's names, numbers and initial weights, and its frozen last layer."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts import Position
from sslkit_dino.head import DINOHead

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"


def reference(state: dict[str, Tensor], features: Tensor, layers: int, use_bn: bool = False) -> Tensor:
    """The head's formula, written out in the precision of what it is given."""
    x = features
    step = 3 if use_bn else 2
    for index in range(0, layers * step, step):
        name = "mlp" if layers == 1 else f"mlp.{index}"
        x = x @ state[f"{name}.weight"].T + state[f"{name}.bias"]
        if index == (layers - 1) * step:
            break
        if use_bn:
            x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
            x = x * state[f"mlp.{index + 1}.weight"] + state[f"mlp.{index + 1}.bias"]
        x = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    x = x / (x**2).sum(-1, keepdim=True).sqrt()
    v = state["last_layer.weight_v"]
    return x @ (state["last_layer.weight_g"] * v / (v**2).sum(1, keepdim=True).sqrt()).T


def test_loads_the_references_weights_and_agrees_on_them() -> None:
    with np.load(GOLDEN) as golden:
        state = {key.removeprefix("init/head."): torch.from_numpy(golden[key]) for key in golden
                 if key.startswith("init/head.")}  # fmt: skip
    head = DINOHead(48, out_dim=64, hidden_dim=32, bottleneck_dim=16)
    head.load_state_dict(state, strict=True)
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(24, 48)))
    expected = reference({key: value.double() for key, value in state.items()}, features, 3)
    found = head(features.float())
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize("use_bn", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_agrees_with_the_formula_for_any_depth(layers: int, use_bn: bool) -> None:
    torch.manual_seed(layers)
    head = DINOHead(6, out_dim=5, layers=layers, hidden_dim=8, bottleneck_dim=4, use_bn=use_bn).double()
    nn.init.uniform_(head.last_layer.weight_g, 0.5, 2)
    features = torch.randn(7, 6, dtype=torch.float64)
    expected = reference(dict(head.state_dict()), features, layers, use_bn)
    torch.testing.assert_close(head(features), expected, rtol=1e-10, atol=1e-12)
    assert sum(isinstance(module, nn.BatchNorm1d) for module in head.modules()) == (layers - 1) * use_bn


def test_without_a_bottleneck_nothing_is_normalised() -> None:
    torch.manual_seed(0)
    head = DINOHead(6, out_dim=5, hidden_dim=8, bottleneck_dim=None).double()
    assert head.mlp[-1].out_features == 8
    state = head.last_layer.state_dict()
    weights = state["weight_v"] / state["weight_v"].norm(dim=1, keepdim=True)
    features = torch.randn(7, 6, dtype=torch.float64)
    torch.testing.assert_close(head(features), head.mlp(features) @ weights.T, rtol=1e-10, atol=1e-12)


def test_any_leading_dimensions() -> None:
    head = DINOHead(6, out_dim=5, hidden_dim=8, bottleneck_dim=4, use_bn=True)
    features = torch.randn(3, 2, 6)
    head.eval()
    torch.testing.assert_close(head(features), torch.stack([head(row) for row in features]))
    assert head(features[0, 0]).shape == (5,)


def test_initial_weights_are_the_references() -> None:
    torch.manual_seed(0)
    head = DINOHead(300, out_dim=400, hidden_dim=256, bottleneck_dim=64)
    for name, parameter in head.mlp.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05)
    v = head.last_layer.weight_v
    assert v.abs().max() <= 1 / 8
    assert v.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.05)
    assert torch.equal(head.last_layer.weight_g, torch.ones(400, 1))


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_lengths_learn_only_without_norm_last_layer(norm_last_layer: bool) -> None:
    head = DINOHead(6, out_dim=5, hidden_dim=8, bottleneck_dim=4, norm_last_layer=norm_last_layer)
    head(torch.randn(3, 6)).square().sum().backward()
    assert head.last_layer.weight_v.grad is not None
    assert (head.last_layer.weight_g.grad is None) == norm_last_layer
    assert [name for name, _ in head.named_parameters()][-2:] == ["last_layer.weight_g", "last_layer.weight_v"]


@pytest.mark.parametrize("freeze", [0, 1, 2])
def test_last_layer_is_frozen_for_the_first_epochs(freeze: int) -> None:
    head = DINOHead(
        6, out_dim=5, hidden_dim=8, bottleneck_dim=4, norm_last_layer=False, freeze_last_layer_epochs=freeze
    )
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=0.5)
    for step in range(9):
        before = copy.deepcopy(head.state_dict())
        optimizer.zero_grad()
        head(torch.randn(4, 6)).square().sum().backward()
        head.before_step(Position(step, 9, 3))
        optimizer.step()
        moved = {key for key, value in head.state_dict().items() if not torch.equal(value, before[key])}
        last = {"last_layer.weight_g", "last_layer.weight_v"}
        assert moved & last == (set() if step < 3 * freeze else last)
        assert moved >= {"mlp.0.weight", "mlp.4.bias"}


def test_can_be_copied_and_gives_the_same() -> None:
    head = DINOHead(6, out_dim=5, hidden_dim=8, bottleneck_dim=4)
    x = torch.randn(2, 6)
    head(x).sum().backward()
    assert torch.equal(copy.deepcopy(head)(x), head(x))


def test_autocast_gives_finite_logits() -> None:
    head = DINOHead(6, out_dim=5, hidden_dim=8, bottleneck_dim=4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(torch.randn(4, 6))
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()
    assert logits.abs().max() <= 1.01


@pytest.mark.parametrize(
    "options",
    [{"out_dim": 0}, {"layers": 0}, {"hidden_dim": -1}, {"bottleneck_dim": 0}, {"freeze_last_layer_epochs": -1}],
)
def test_bad_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(options))} is {next(iter(options.values()))}: "):
        DINOHead(6, **options)
