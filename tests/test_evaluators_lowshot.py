"""Low-shot classification: scikit-learn's solver and the optimum's own equation as references, and what is drawn."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from evaluation_parts import GREY, Patterns, Splits, freeze, tiny_conv
from sslkit.errors import RunError, UserError
from sslkit_evaluators.logistic import fit_logistic
from sslkit_evaluators.lowshot import LowShot


def unit_clusters(classes: int, each: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(classes)
    labels = np.repeat(np.arange(classes), each)
    x = draw.normal(size=(classes, width))[labels] + draw.normal(size=(classes * each, width))
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


@pytest.mark.parametrize("l2", [1.0, 0.1, 0.001])
def test_the_fit_is_the_optimum(l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # several chunks
    monkeypatch.setattr("sslkit_evaluators.logistic._CHUNK", 33)
    x, labels = unit_clusters(7, 12, 20)
    fit = fit_logistic(torch.from_numpy(x), torch.from_numpy(labels), 7, l2=l2, iterations=1000)
    assert fit.converged
    weight = fit.weight.numpy()
    # the gradient of sum of cross-entropies + l2 / 2 |W|^2 is zero there
    logits = x @ weight
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gradient = x.T @ (p - np.eye(7)[labels]) + l2 * weight
    at_zero = x.T @ (1 / 7 - np.eye(7)[labels])
    assert np.abs(gradient).max() <= 1.01e-6 * np.abs(at_zero).max()
    other = LogisticRegression(C=1 / l2, fit_intercept=False, tol=1e-9, max_iter=10000).fit(x, labels)
    np.testing.assert_allclose(weight.T, other.coef_, atol=3e-4 * np.abs(other.coef_).max())


def by_sklearn(x: np.ndarray, labels: np.ndarray, test_x: np.ndarray, test_labels: np.ndarray, l2: float) -> float:
    x, test_x = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, test_x))
    model = LogisticRegression(C=1 / l2, fit_intercept=False, tol=1e-9, max_iter=10000).fit(x, labels)
    return 100 * float((model.predict(test_x) == test_labels).mean())


def test_numbers_are_those_of_scikit_learn_on_the_same_draws(tmp_path: Path) -> None:
    train, test = Patterns(83, noise=80.0), Patterns(60, salt=1, noise=80.0)
    evaluator = LowShot(shares=(0.2, 1.0), per_class=(3,), repeats=3, l2=0.01)
    with freeze(tiny_conv(), seed=5) as frozen:
        values = evaluator.evaluate(frozen, Splits(train, test), tmp_path).values
        again = evaluator.evaluate(frozen, Splits(train, test), tmp_path).values
        x, test_x = (frozen.features(images).x.double().numpy() for images in (train, test))
    assert values == again
    names = ["p20_top1", "p100_top1", "n3_top1"]
    assert list(values) == [name + suffix for name in names for suffix in ("", "_std")]
    labels, test_labels = np.arange(83) % 4, np.arange(60) % 4
    by_class = {label: np.flatnonzero(labels == label) for label in range(4)}
    for name in names:
        found = []
        for repeat in range(3):
            rows = evaluator._draw(by_class, 5, repeat)[name]
            found.append(by_sklearn(x[rows], labels[rows], test_x, test_labels, 0.01))
        assert values[name] == pytest.approx(fmean(found))
        assert values[f"{name}_std"] == pytest.approx(stdev(found))
    assert values["p100_top1_std"] == 0 < values["n3_top1_std"]
    assert values["p100_top1"] > values["n3_top1"] > 25


def test_draws_are_balanced_nested_and_keyed() -> None:
    by_class = {0: np.arange(0, 100), 1: np.arange(100, 110), 2: np.arange(110, 113)}
    evaluator = LowShot(shares=(0.01, 0.25), per_class=(1, 3))
    draw = evaluator._draw(by_class, 0, 0)
    counts = {
        name: [len(set(indices) & set(own.tolist())) for own in by_class.values()] for name, indices in draw.items()
    }
    # at least one a class; 2.5 and 0.75 are rounded
    assert counts == {"p1_top1": [1, 1, 1], "p25_top1": [25, 2, 1], "n1_top1": [1, 1, 1], "n3_top1": [3, 3, 3]}
    assert set(draw["p1_top1"]) <= set(draw["p25_top1"])
    assert set(draw["n1_top1"]) <= set(draw["n3_top1"])
    assert draw == evaluator._draw(by_class, 0, 0)
    assert draw != evaluator._draw(by_class, 1, 0) != evaluator._draw(by_class, 0, 1)


def test_only_what_was_drawn_goes_through_the_backbone(tmp_path: Path) -> None:
    net = tiny_conv()
    seen: list[int] = []
    net.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    with freeze(net) as frozen:
        values = (
            LowShot(shares=(0.05,), per_class=(2,))
            .evaluate(frozen, Splits(Patterns(400), Patterns(30, salt=1)), tmp_path)
            .values
        )
    # 5% of 100 a class hold the 2 of the same draw
    assert sum(seen) == 4 * 5 + 30
    assert list(values) == ["p5_top1", "n2_top1"]


def test_unreadable_images_are_left_out_and_a_class_without_any_is_told(tmp_path: Path) -> None:
    test = Patterns(20, salt=1)
    with freeze(tiny_conv()) as frozen:
        values = LowShot(shares=(1.0,)).evaluate(frozen, Splits(Patterns(12, unreadable=(1,)), test), tmp_path).values
        assert values["p100_top1"] > 0
        assert [bad.index for bad in frozen.bad] == [1]
        with pytest.raises(RunError, match=r"n1_top1: of a class no train image that was drawn could be read"):
            LowShot((), per_class=(1,)).evaluate(frozen, Splits(Patterns(4, unreadable=(2,)), test), tmp_path)


def test_a_fit_that_needs_more_iterations_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with freeze(tiny_conv()) as frozen:
        data = Splits(Patterns(40), Patterns(20, salt=1))
        LowShot(shares=(0.5,), iterations=2).evaluate(frozen, data, tmp_path)
        assert "lowshot: p50_top1 is of a fit that has not converged: use more iterations than 2" in caplog.text
        caplog.clear()
        LowShot(shares=(0.5,)).evaluate(frozen, data, tmp_path)
    assert not caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": ()}, r"^shares and per_class: both are empty"),
        ({"shares": (0.1, 0.0)}, r"^shares: \[0.1, 0.0\] must be different shares above 0"),
        ({"shares": (0.1, 0.1)}, r"^shares: .*different"),
        ({"shares": (10.0,)}, r"^shares: .*at most 1"),
        ({"per_class": (0,)}, r"^per_class: \[0\] must be different numbers"),
        ({"per_class": (5, 5)}, r"^per_class"),
        ({"repeats": 0}, r"^repeats: 0 must be at least 1"),
        ({"l2": 0.0}, r"^l2: 0.0 must be above 0"),
        ({"iterations": 0}, r"^iterations"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LowShot(**options)


def test_classes_that_are_too_small_are_told_before_anything_runs() -> None:
    net = tiny_conv()
    with pytest.raises(
        UserError, match=r"^per_class: 6 images .* the 5 train images of the class class 2: use at most 5"
    ):
        LowShot(per_class=(2, 6)).check(net, GREY, Splits(Patterns(22), Patterns(8, salt=1)))
    with pytest.raises(UserError, match=r"^shares: there is no train image of the class class 3"):
        LowShot().check(net, GREY, Splits(Patterns(3), Patterns(8, salt=1)))
    with pytest.raises(UserError, match=r"^per_class: there is no train image of the class of label 4"):
        LowShot((), per_class=(1,)).check(net, GREY, Splits(Patterns(8), Patterns(8, salt=1, classes=5)))
    LowShot(per_class=(5,)).check(net, GREY, Splits(Patterns(22), Patterns(8, salt=1)))
