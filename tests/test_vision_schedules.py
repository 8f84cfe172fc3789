"""Schedules against float64 references and the reference implementation's own numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sslkit.errors import UserError
from sslkit.parts import Position
from sslkit_vision.schedules import Constant, Cosine, Linear

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"


def values(schedule, epochs, per_epoch):
    return np.array([schedule(Position(step, epochs * per_epoch, per_epoch)) for step in range(epochs * per_epoch)])


def reference_cosine(start, end, epochs, per_epoch, warmup_epochs):
    warmup = int(warmup_epochs * per_epoch)
    rest = np.arange(epochs * per_epoch - warmup)
    cosine = end + 0.5 * (start - end) * (1 + np.cos(np.pi * rest / len(rest)))
    return np.concatenate([np.linspace(0, start, warmup), cosine])


@pytest.mark.parametrize("key", ["lr", "wd", "momentum"])
def test_cosine_gives_the_golden_schedules(key):
    golden = np.load(GOLDEN)
    config = {name.removeprefix("config/"): golden[name].item() for name in golden.files if name.startswith("config/")}
    schedule = {
        "lr": Cosine(config["lr"], config["min_lr"], warmup_epochs=config["warmup"]),
        "wd": Cosine(config["wd"], config["wd_end"]),
        "momentum": Cosine(config["m"], 1.0),
    }[key]
    np.testing.assert_allclose(values(schedule, config["epochs"], config["iters"]), golden[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "warmup"), [(10, 7, 0.0), (10, 7, 3.0), (5, 4, 0.5), (3, 1, 1.0), (4, 5, 4.0)]
)
def test_cosine_equals_its_reference_at_every_step(epochs, per_epoch, warmup):
    found = values(Cosine(0.7, 0.1, warmup), epochs, per_epoch)
    np.testing.assert_allclose(found, reference_cosine(0.7, 0.1, epochs, per_epoch, warmup), rtol=0, atol=1e-12)


def test_cosine_reaches_its_peak_in_warm_up_and_never_its_end():
    found = values(Cosine(1.0, 0.0, 2.0), 10, 5)
    assert found[0] == 0.0
    assert found[9] == found[10] == 1.0
    assert 0 < found[-1] < 0.01


def test_a_run_shorter_than_the_warm_up_only_warms_up():
    np.testing.assert_allclose(values(Cosine(1.0, 0.0, 10.0), 2, 5), np.linspace(0, 1, 50)[:10], atol=1e-15)


@pytest.mark.parametrize(("epochs", "length"), [(None, 20), (2.0, 10), (0.2, 1), (0.0, 0)])
def test_linear_reaches_both_ends_and_stays(epochs, length):
    found = values(Linear(2.0, 0.3, epochs), 4, 5)
    np.testing.assert_array_equal(found, np.concatenate([np.linspace(2.0, 0.3, length), np.full(20 - length, 0.3)]))


def test_constant_is_the_same_everywhere():
    assert set(values(Constant(0.25), 3, 2)) == {0.25}


def test_scaling_multiplies_the_peak_and_leaves_the_lower_end():
    at = [Position(step, 20, 5) for step in range(20)]
    scaled = Cosine(0.5, 0.125, 1.0).scaled(4)
    assert [scaled(p) for p in at] == [Cosine(2.0, 0.125, 1.0)(p) for p in at]
    assert [Linear(0.5, 0.25).scaled(2)(p) for p in at] == [Linear(1.0, 0.25)(p) for p in at]
    assert Constant(3.0).scaled(0.5)(at[0]) == 1.5
    # a rate that rises has its peak at the end; a smaller batch may push the peak below the other end
    assert [Linear(0.0, 0.1, 2.0).scaled(2)(p) for p in at] == [Linear(0.0, 0.2, 2.0)(p) for p in at]
    assert [Cosine(0.25, 0.5).scaled(4)(p) for p in at] == [Cosine(0.25, 2.0)(p) for p in at]
    assert [Linear(0.5, 0.25).scaled(0.25)(p) for p in at] == [Linear(0.125, 0.25)(p) for p in at]


@pytest.mark.parametrize("make", [Linear, Cosine])
def test_scaling_keeps_a_constant_constant(make):
    assert set(values(make(0.5, 0.5).scaled(3), 3, 4)) == {1.5}


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_negative_and_unbounded_numbers_are_refused(bad):
    for make in (
        lambda: Constant(bad),
        lambda: Cosine(bad, 0.0),
        lambda: Cosine(1.0, bad),
        lambda: Cosine(1.0, 0.0, bad),
        lambda: Linear(1.0, 0.0, bad),
    ):
        with pytest.raises(UserError, match=str(bad)):
            make()
