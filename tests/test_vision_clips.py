"""Clipping against a plain float64 reference."""

from __future__ import annotations

import math

import pytest
import torch

from sslkit.errors import UserError
from sslkit_vision.clips import GlobalNorm, PerTensor


@pytest.fixture
def gradients():
    generator = torch.Generator().manual_seed(0)
    scales = (0.01, 1.0, 30.0, 0.0)
    return [torch.randn(5, 7, generator=generator) * scale for scale in scales] + [torch.randn(3, generator=generator)]


def scaled(gradient, norm, limit):
    factor = limit / (norm + 1e-6)
    return gradient.double() * factor if factor < 1 else gradient.double()


def test_per_tensor_clips_each_on_its_own(gradients):
    expected = [scaled(g, g.double().norm(), 3.0) for g in gradients]
    norms = torch.stack([g.double().norm() for g in gradients])
    found = PerTensor(3.0)(gradients)
    torch.testing.assert_close(found.double(), norms, rtol=1e-6, atol=0)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.double(), wanted, rtol=1e-6, atol=1e-8)


def test_per_tensor_leaves_small_gradients_untouched(gradients):
    before = gradients[0].clone()
    PerTensor(3.0)(gradients)
    assert torch.equal(gradients[0], before)


def test_global_norm_clips_all_together(gradients):
    total = torch.cat([g.double().flatten() for g in gradients]).norm()
    expected = [scaled(g, total, 2.0) for g in gradients]
    norms = GlobalNorm(2.0)(gradients)
    torch.testing.assert_close(norms.double().norm(), total, rtol=1e-6, atol=0)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.double(), wanted, rtol=1e-6, atol=1e-8)


def test_global_norm_leaves_a_short_gradient_untouched(gradients):
    before = [g.clone() for g in gradients]
    GlobalNorm(1e6)(gradients)
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))


@pytest.mark.parametrize("kind", [GlobalNorm, PerTensor])
def test_no_gradients_give_no_norms(kind):
    assert kind()([]).shape == (0,)


@pytest.mark.parametrize("kind", [GlobalNorm, PerTensor])
def test_mixed_precisions_and_norms_beyond_half_precision(kind):
    gradients = [torch.ones(4).double(), torch.full((400,), 6e4).half(), torch.ones(2).bfloat16(), torch.ones(0)]
    norms = kind(1.0)(gradients)
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms, torch.tensor([2.0, 1.2e6, math.sqrt(2), 0.0]), rtol=1e-3, atol=0)
    assert [g.dtype for g in gradients] == [torch.float64, torch.float16, torch.bfloat16, torch.float32]


@pytest.mark.parametrize("kind", [GlobalNorm, PerTensor])
def test_a_non_finite_gradient_shows_in_the_norms(kind):
    assert not kind()([torch.ones(2), torch.tensor([math.nan])]).isfinite().all()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_senseless_limit_is_refused(bad):
    for kind in (GlobalNorm, PerTensor):
        with pytest.raises(UserError, match="max_norm"):
            kind(bad)
