"""Intervals of accuracies and of paired differences, against scipy and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from sslkit.evaluation.intervals import Tally, paired_difference, share_interval
from sslkit.parts import Answers


def tally(right: np.ndarray, images: np.ndarray | None = None) -> Tally:
    images = np.arange(len(right)) if images is None else images
    return Tally.of(Answers(torch.from_numpy(images), torch.from_numpy(right.astype(bool))))


@pytest.mark.parametrize(("right", "asked"), [(0, 1), (1, 1), (0, 54), (54, 54), (27, 54), (1, 360), (9744, 10000)])
def test_one_answer_an_image_gives_wilson_s_interval(right: int, asked: int) -> None:
    found = share_interval(tally(np.arange(asked) < right))
    wanted = stats.binomtest(right, asked).proportion_ci(method="wilson")
    assert found == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-9)


def test_answers_of_one_image_are_one_cluster() -> None:
    draw = np.random.default_rng(0)
    once = draw.random(200) < 0.7
    same = share_interval(tally(np.tile(once, 5), np.tile(np.arange(200), 5)))
    # five copies that are answered alike tell no more than one
    assert same == pytest.approx(share_interval(tally(once)))
    # and answers that have nothing to do with the image as much as five times the images
    independent = draw.random(1000) < 0.7
    loose = share_interval(tally(independent, np.tile(np.arange(200), 5)))
    plain = share_interval(tally(independent))
    assert loose[1] - loose[0] == pytest.approx(plain[1] - plain[0], rel=0.15)
    assert loose[1] - loose[0] >= plain[1] - plain[0] - 1e-9
    # between these the width is that of the variance between images
    chance = draw.beta(2, 1, 4000)
    answers = draw.random((5, 4000)) < chance
    low, high = share_interval(tally(answers.ravel(), np.tile(np.arange(4000), 5)))
    error = answers.mean(axis=0).std() / np.sqrt(4000)
    assert (high - low) / 100 == pytest.approx(2 * 1.96 * error, rel=0.01)


def test_wilson_s_interval_of_clusters_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        chance = draw.beta(4, 1, 60)  # 80% of the answers are right
        answers = draw.random((5, 60)) < chance
        low, high = share_interval(tally(answers.ravel(), np.tile(np.arange(60), 5)))
        held += low <= 80 <= high
    # a standard error of the share is 1.1 points
    assert 0.92 <= held / 400 <= 0.985


def test_no_answers_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no image"):
        share_interval(Tally(np.zeros(3, np.int32), np.zeros(3, np.int32)))


def paired(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    hard = draw.random(images)
    return hard + 0.3 * draw.random(images) < 0.8, hard + 0.3 * draw.random(images) < 0.7


def test_the_bootstrap_is_that_of_scipy_and_of_a_plain_loop() -> None:
    one, other = paired(300)
    found = paired_difference(tally(one), tally(other))
    assert found is not None
    gaps = one.astype(float) - other
    assert found.mean == pytest.approx(100 * gaps.mean())
    assert found.images == 300

    wanted = stats.bootstrap(
        (one.astype(float), other.astype(float)),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        paired=True, vectorized=True, method="percentile", n_resamples=20_000, batch=2000, rng=1,
    ).confidence_interval  # fmt: skip
    draw = np.random.default_rng(2)
    loop = np.percentile([draw.choice(gaps, 300).mean() for _ in range(20_000)], [2.5, 97.5])
    # means of 300 images lie a third of a point apart, and the ends of both are drawn
    for ends in ((wanted.low, wanted.high), loop):
        assert (found.low, found.high) == pytest.approx((100 * ends[0], 100 * ends[1]), abs=0.4)


def test_the_bootstrap_of_repeated_answers_is_that_of_images() -> None:
    draw = np.random.default_rng(3)
    chance = draw.beta(2, 2, 150)
    one, other = (draw.random((4, 150)) < chance + shift for shift in (0.1, 0.0))
    images = np.tile(np.arange(150), 4)
    found = paired_difference(tally(one.ravel(), images), tally(other.ravel(), images))
    assert found is not None
    gaps = one.mean(axis=0) - other.mean(axis=0)
    loop = np.percentile([draw.choice(gaps, 150).mean() for _ in range(20_000)], [2.5, 97.5])
    assert found.mean == pytest.approx(100 * gaps.mean())
    assert (found.low, found.high) == pytest.approx(tuple(100 * loop), abs=0.3)
    assert found.images == 150


def test_the_same_answers_give_the_same_interval_whatever_else_is_drawn() -> None:
    one, other = paired(100)
    first = paired_difference(tally(one), tally(other))
    np.random.seed(7)
    np.random.random(10)
    order = np.random.default_rng(0).permutation(100)
    assert paired_difference(tally(one[order], order), tally(other)) == first


def test_pairs_are_of_images_that_both_were_asked() -> None:
    one, other = paired(100)
    # the first could not read image 3, the second none from 90 on
    without = np.delete(np.arange(100), 3)
    found = paired_difference(tally(one[without], without), tally(other[:90]))
    kept = np.delete(np.arange(90), 3)
    assert found == paired_difference(tally(one[kept]), tally(other[kept]))
    assert paired_difference(tally(one[:1]), tally(other)) is None
    assert paired_difference(tally(one[:5]), tally(other[5:], np.arange(5, 100))) is None


def test_beyond_noise_is_an_interval_without_zero() -> None:
    nothing = np.zeros(54, bool)
    three, twelve = np.arange(54) < 3, np.arange(54) < 12
    # 5.6 points on 54 images: three of them
    within = paired_difference(tally(three), tally(nothing))
    beyond = paired_difference(tally(twelve), tally(nothing))
    below = paired_difference(tally(nothing), tally(twelve))
    assert within is not None
    assert beyond is not None
    assert below is not None
    assert within.mean == pytest.approx(5.6, abs=0.05)
    assert not within.beyond_noise
    assert beyond.beyond_noise
    assert below.beyond_noise
    equal = paired_difference(tally(three), tally(three))
    assert equal is not None
    assert (equal.mean, equal.low, equal.high, equal.beyond_noise) == (0, 0, 0, False)
