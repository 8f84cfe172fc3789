"""The spectrum's numbers against their definitions, on features whose rank is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation_parts import Patterns, Splits, freeze, tiny_conv
from sslkit.errors import RunError, UserError
from sslkit_evaluators.spectrum import Spectrum, power_law, spectrum
from sslkit_evaluators.subset import Some


def reference(x: np.ndarray) -> dict[str, float]:
    """The definitions in float64, by singular values."""

    def exp_entropy(values: np.ndarray) -> float:
        p = values / values.sum()
        p = p[p > 0]
        return float(np.exp(-(p * np.log(p)).sum()))

    def exponent(values: np.ndarray) -> float:
        """Weighted least squares of logarithms by its normal equations, as alpha-ReQ's published code has it."""
        positive = np.sort(values[values > 1e-12 * (x**2).sum()])[::-1]
        ranks = np.arange(4, min(100, len(positive)) + 1)
        if len(ranks) < 2:
            return float("nan")
        design = np.stack([-np.log(ranks), np.ones(len(ranks))], axis=1)
        weights = 1.0 / ranks[:, None]
        return float(
            np.linalg.solve(design.T @ (weights * design), (weights * design).T @ np.log(positive[ranks - 1]))[0]
        )

    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    variances = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    return {
        "rankme": exp_entropy(np.linalg.svd(x, compute_uv=False)),
        "effective_rank": exp_entropy(variances),
        "mean_cosine": float(cosines[~np.eye(len(x), dtype=bool)].mean()),
        "relative_std": float(unit.std(0).mean() * np.sqrt(x.shape[1])),
        "alpha_req": exponent(variances),
    }


@pytest.mark.parametrize(("rows", "columns"), [(60, 20), (20, 60), (2, 5), (30, 30)])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_definitions(rows: int, columns: int, offset: float) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, columns)) * np.linspace(0.1, 2, columns) + offset
    ours = spectrum(torch.from_numpy(x).float())
    expected = reference(x.astype(np.float32).astype(np.float64))
    assert ours == pytest.approx(expected, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.5])
def test_the_exponent_of_a_power_law_is_found(exponent: float) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 150))
    # columns that are centred and orthogonal: the covariance's eigenvalues are exactly those that are given
    columns, _ = np.linalg.qr(x - x.mean(0))
    turned, _ = np.linalg.qr(draw.normal(size=(150, 150)))
    ranks = np.arange(1, 151)
    features = columns * ranks ** (-exponent / 2) @ turned + 3
    assert spectrum(torch.from_numpy(features))["alpha_req"] == pytest.approx(exponent, rel=1e-6)


def test_the_exponent_is_that_of_ranks_4_to_100() -> None:
    ranks = torch.arange(1, 201, dtype=torch.float64)
    eigenvalues = ranks**-1.5
    eigenvalues[:3], eigenvalues[100:] = 50.0, 1e-9
    assert power_law(eigenvalues.flip(0)) == pytest.approx(1.5)
    assert power_law(torch.cat([eigenvalues[:5], torch.zeros(9)])) == pytest.approx(1.5)
    assert np.isnan(power_law(eigenvalues[:4]))


def test_known_spectra() -> None:
    even = spectrum(torch.eye(16).repeat(4, 1))
    assert even["rankme"] == pytest.approx(16)
    assert even["effective_rank"] == pytest.approx(15)
    line = spectrum(torch.arange(1.0, 9)[:, None] * torch.randn(1, 10))
    assert line["rankme"] == pytest.approx(1, abs=1e-3)
    assert line["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert line["mean_cosine"] == pytest.approx(1)
    spread = spectrum(torch.randn(4000, 64, generator=torch.Generator().manual_seed(0)))
    assert spread["relative_std"] == pytest.approx(1, abs=0.02)
    assert spread["mean_cosine"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_collapsed_features_have_one_dimension_and_finite_numbers(value: float) -> None:
    x = torch.full((50, 32), value) * torch.rand(32, generator=torch.Generator().manual_seed(0))
    numbers = spectrum(x)
    assert numbers["rankme"] == pytest.approx(1)
    assert numbers["effective_rank"] == pytest.approx(1)
    assert numbers["relative_std"] == pytest.approx(0, abs=1e-6)
    assert numbers["mean_cosine"] == pytest.approx(1 if value else 0)


def test_the_test_split_is_looked_at_and_the_train_split_where_there_is_no_other(tmp_path: Path) -> None:
    train, test = Patterns(30, labelled=False), Patterns(20, salt=1, labelled=False)
    with freeze(tiny_conv()) as frozen:
        for data, looked_at in (
            (Splits(train, test), test),
            (Splits(train), train),
            (Splits(train, Patterns(0)), train),
        ):
            values = Spectrum().evaluate(frozen, data, tmp_path).values
            assert values == spectrum(frozen.features(looked_at).x)


def test_large_splits_are_sampled_by_seed(tmp_path: Path) -> None:
    data = Splits(Patterns(60, unreadable=(7,)))
    values = []
    for seed in (0, 0, 1):
        with freeze(tiny_conv(), seed=seed) as frozen:
            values.append(Spectrum(max_images=10).evaluate(frozen, data, tmp_path).values)
    assert values[0] == values[1] != values[2]


def test_a_part_of_a_split_keeps_names_and_labels() -> None:
    images = Patterns(10)
    part = Some(images, [7, 2])
    assert (len(part), part.name(0), part.label(1), part.classes) == (2, "pattern-0-7", 2, images.classes)
    assert torch.equal(part.read(1), images.read(2))


def test_too_few_images(tmp_path: Path) -> None:
    with freeze(tiny_conv()) as frozen, pytest.raises(RunError, match="two images, and 1 could be read"):
        Spectrum().evaluate(frozen, Splits(Patterns(2, unreadable=(0,))), tmp_path)
    with pytest.raises(UserError, match="max_images"):
        Spectrum(max_images=1)
