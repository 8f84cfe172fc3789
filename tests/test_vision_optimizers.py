"""Optimizers against float64 references and the reference implementation's LARS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sslkit.errors import UserError
from sslkit_vision.optimizers import LARS, SGD, AdamW
from sslkit_vision.schedules import Constant

EVALUATORS = Path(__file__).parent / "data" / "evaluators_a.npz"
SHAPES = [(5, 4), (7,), (3, 2, 2)]


def group(parameters, lr, weight_decay, trust=True):
    return {"params": parameters, "lr": lr, "weight_decay": weight_decay, "trust": trust}


def parameters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def walk(optimizer, weights, steps):
    generator = torch.Generator().manual_seed(9)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


def gradients(steps):
    generator = torch.Generator().manual_seed(9)
    return [[torch.randn(shape, generator=generator).double() for shape in SHAPES] for _ in range(steps)]


def test_lars_gives_the_golden_weights():
    golden = np.load(EVALUATORS)
    weights = [torch.nn.Parameter(torch.tensor(golden[f"lars/init{i}"])) for i in range(3)]
    matrices = [weight for weight in weights if weight.ndim > 1]
    vectors = [weight for weight in weights if weight.ndim == 1]
    optimizer = LARS(Constant(0.3), Constant(0.01)).create([
        group(matrices, 0.3, 0.01), group(vectors, 0.3, 0.0, trust=False),
    ])  # fmt: skip
    for step in range(4):
        for i, weight in enumerate(weights):
            weight.grad = torch.tensor(golden[f"lars/grad{step}_{i}"])
        optimizer.step()
    for i, weight in enumerate(weights):
        moved = np.abs(golden[f"lars/final{i}"] - golden[f"lars/init{i}"]).max()
        np.testing.assert_allclose(weight.detach().numpy(), golden[f"lars/final{i}"], rtol=0, atol=1e-5 * moved)


def test_lars_moves_a_zero_tensor_and_skips_one_without_gradient():
    moved, resting = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.ones(2, 2))
    optimizer = LARS().create([group([moved, resting], 0.5, 0.0)])
    moved.grad = torch.ones(2, 2)
    optimizer.step()
    assert torch.equal(moved, torch.full((2, 2), -0.5))
    assert torch.equal(resting, torch.ones(2, 2))
    assert resting not in optimizer.state


def test_lars_resumes_bit_for_bit():
    straight, resumed = parameters(1), parameters(1)
    optimizer = LARS().create([group(straight, 0.3, 0.01)])
    first = LARS().create([group(resumed, 0.3, 0.01)])
    walk(optimizer, straight, 2)
    walk(first, resumed, 2)
    second = LARS().create([group(resumed, 0.3, 0.01)])
    second.load_state_dict(first.state_dict())
    walk(optimizer, straight, 2)
    walk(second, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_adamw_equals_its_float64_reference_with_extra_keys_in_the_groups():
    weights = parameters(2)
    expected = [weight.detach().double() for weight in weights]
    means, squares = [0.0] * 3, [0.0] * 3
    for t, grads in enumerate(gradients(10), start=1):
        for i, grad in enumerate(grads):
            means[i] = 0.9 * means[i] + 0.1 * grad
            squares[i] = 0.95 * squares[i] + 0.05 * grad**2
            root = (squares[i] / (1 - 0.95**t)).sqrt() + 1e-8
            expected[i] = expected[i] * (1 - 1e-2 * 0.1) - 1e-2 * means[i] / (1 - 0.9**t) / root
    walk(AdamW(betas=(0.9, 0.95)).create([group(weights, 1e-2, 0.1)]), weights, 10)
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach().double(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_equals_its_float64_reference(nesterov):
    weights = parameters(3)
    expected, momenta = [weight.detach().double() for weight in weights], [0.0] * 3
    for grads in gradients(6):
        for i, grad in enumerate(grads):
            decayed = grad + 0.01 * expected[i]
            momenta[i] = 0.9 * momenta[i] + decayed
            expected[i] = expected[i] - 0.1 * (decayed + 0.9 * momenta[i] if nesterov else momenta[i])
    walk(SGD(nesterov=nesterov).create([group(weights, 0.1, 0.01)]), weights, 6)
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach().double(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [
    lambda: AdamW(betas=(0.9, 1.0)), lambda: AdamW(eps=0.0), lambda: SGD(momentum=-0.1),
    lambda: SGD(momentum=0.0, nesterov=True), lambda: LARS(trust_coefficient=0.0), lambda: LARS(momentum=1.0),
])  # fmt: skip
def test_senseless_options_are_refused(make):
    with pytest.raises(UserError):
        make()
