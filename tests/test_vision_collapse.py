"""The collapse watcher: what it measures, what it says of hand-made outputs, and of real runs."""

from __future__ import annotations

import json
import logging
import math
import re

import numpy as np
import pluggy
import pytest
import torch

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Outputs, Position
from sslkit.plugins.hookspecs import WatchingHooks
from sslkit_evaluators.spectrum import spectrum
from sslkit_vision.collapse import CollapseMonitor
from sslkit_vision.collapse_signs import look
from tiny_run import TINY, tiny

B, D, K = 32, 24, 64
LOG_K = math.log(K)


def healthy(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def line(*shape, seed=0):
    """Rows along one direction, with a little noise."""
    return healthy(shape[0], 1, seed=seed) * healthy(1, shape[1], seed=seed + 1) + 0.01 * healthy(*shape, seed=seed + 2)


def same(*shape, seed=0):
    """Nearly equal rows, without a rank of their own."""
    return healthy(1, shape[1], seed=seed) + 0.005 * healthy(*shape, seed=seed + 1)


def outputs(entropy=0.6 * LOG_K, kl=1.0, features=None, projections=None, teacher=True):
    """What ``step_end`` gets of a step."""
    projections = healthy(B, K, seed=1) if projections is None else projections
    student = Outputs({"v": healthy(B, D) if features is None else features, "w": healthy(B, D)}, {"v": projections})
    metrics = {"loss": torch.tensor(entropy + kl)}
    if teacher:
        metrics |= {"ce/teacher_entropy": torch.tensor(entropy), "ce/kl": torch.tensor(kl)}
    return {
        "metrics": metrics,
        "student": student,
        "teacher": Outputs({"v": healthy(B, D)}, {"v": healthy(B, K)}) if teacher else None,
    }


GOOD = outputs()
UNIFORM = outputs(entropy=0.999 * LOG_K, kl=0.001)
ONE_DIMENSION = outputs(entropy=0.001, kl=0.001, projections=healthy(B, K) + 50 * torch.eye(K)[3])
FLAT = outputs(features=line(B, D))


def drive(watcher, steps, total=1000):
    """Fire ``step_end`` as the engine does; ``steps`` are outputs by the number of steps done."""
    manager = pluggy.PluginManager("sslkit")
    manager.add_hookspecs(WatchingHooks)
    manager.register(watcher)
    manager.check_pending()
    for done, given in steps:
        manager.hook.step_end(at=Position(done - 1, total, 10), **given)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="sslkit")
    return lambda: [record.getMessage() for record in caplog.records]


def monitor(**options):
    return CollapseMonitor(**({"every": 10, "patience": 3, "grace": 0.0} | options))


# --- measures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 24), (24, 32), (8, 3)])
def test_spreads_agree_with_a_float64_reference_and_the_spectrum_evaluator(shape):
    x = healthy(*shape) * torch.linspace(0.1, 2, shape[1]) + 0.5
    spread = look({}, Outputs({"v": x}), None).spreads["features"]
    rows = x.double().numpy()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(rows.T))
    p = values[values > 1e-12] / values.sum()
    assert spread.relative_std == pytest.approx(unit.std(axis=0).mean() * math.sqrt(shape[1]), rel=1e-5)
    assert spread.rank == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-4)
    assert spread.rank == pytest.approx(spectrum(x)["effective_rank"], rel=1e-4)
    assert spread.most == min(shape[0] - 1, shape[1])


def test_a_look_reads_the_losses_that_log_both_numbers_and_a_part_of_the_batch():
    given = outputs(entropy=2.0, kl=0.5, projections=torch.eye(K)[torch.tensor([5] * 20 + [6] * 12)])
    given["metrics"] |= {"half/teacher_entropy": torch.tensor(1.0), "other/kl": torch.tensor(1.0)}
    seen = look(**given)
    assert seen.losses == {"ce": (2.0, 0.5)}
    assert seen.width == K
    assert seen.agreement == pytest.approx(20 / 32)
    assert look(**given, max_images=25).agreement == pytest.approx(20 / 25)
    assert look(**given, max_images=4).spreads["features"].most == 3


# --- kinds -----------------------------------------------------------------------------------------------------

KINDS = {
    "uniform": (
        UNIFORM,
        "the teacher's output has been uniform since step 10 (ce: entropy 4.15 of at most log 64 = 4.16 nats, "
        "KL 0.001): the loss stays at log K and nothing is learned.",
        "loss.teacher_temp",
    ),
    "one dimension": (
        ONE_DIMENSION,
        "the teacher has picked the same one dimension for every image since step 10 (ce: entropy 0.00 of at most "
        "log 64 = 4.16 nats, KL 0.001)",
        "loss.center_momentum: 0.9",
    ),
    "constant features": (
        outputs(features=same(B, D), teacher=False),
        "the student's features have been the same for every image since step 10 (relative std 0.0",
        "predictor",
    ),
    "constant projections": (
        outputs(projections=same(B, K)),
        "the student's projections have been the same for every image since step 10",
        "predictor",
    ),
    "low rank": (
        FLAT,
        "the student's features have varied along hardly more than one direction since step 10 (effective rank 1.0",
        "covariance",
    ),
    "low rank of projections": (
        outputs(projections=line(B, K), teacher=False),
        "the student's projections have varied along hardly more than one direction since step 10",
        "covariance",
    ),
}


@pytest.mark.parametrize(("given", "sentence", "remedy"), KINDS.values(), ids=list(KINDS))
def test_each_kind_is_told_once_with_its_remedies(given, sentence, remedy, said):
    drive(monitor(), [(step, given) for step in range(1, 101)])
    (warning,) = said()
    assert warning.startswith(f"collapse: {sentence}")
    first = warning.split("(1) ")[1].split("(2) ")[0]
    assert remedy in first
    assert warning.endswith("See docs/collapse.md")


SILENT = {
    "healthy": GOOD,
    "healthy without a teacher": outputs(teacher=False),
    "a high entropy that the student does not have": outputs(entropy=0.999 * LOG_K, kl=0.4),
    "an entropy that is high but not uniform": outputs(entropy=0.95 * LOG_K, kl=0.01),
    "a sharp teacher of different images, learned": outputs(entropy=0.0, kl=0.01, projections=50 * torch.eye(K)[:B]),
    "a sharp teacher, not learned": outputs(entropy=0.0, kl=2.0, projections=healthy(B, K) + 50 * torch.eye(K)[3]),
    "a batch of one": outputs(features=healthy(1, D), projections=healthy(1, K)),
    "a small batch on a line": outputs(features=line(4, D), projections=healthy(4, K)),
    "ten classes, each a point": outputs(features=healthy(10, D)[torch.arange(B) % 10]),
    "features that are alike, as of a fresh network": outputs(features=1 + 0.1 * healthy(B, D)),
}


@pytest.mark.parametrize("given", SILENT.values(), ids=list(SILENT))
def test_what_is_no_collapse_is_not_told(given, said):
    drive(monitor(), [(step, given) for step in range(10, 101, 10)])
    assert said() == []


def test_a_step_that_is_not_finite_is_left_out(said):
    broken = outputs(features=torch.full((B, D), math.inf))
    drive(monitor(), [(10, UNIFORM), (20, UNIFORM), (30, broken), (40, UNIFORM)])
    (warning,) = said()
    assert "since step 10 " in warning


# --- time ------------------------------------------------------------------------------------------------------


def test_only_what_lasts_is_told_and_its_end_too(said):
    flicker = [(step, UNIFORM if step % 30 else GOOD) for step in range(10, 211, 10)]
    watcher = monitor()
    drive(watcher, flicker)
    assert said() == []
    drive(watcher, [(step, UNIFORM) for step in (220, 230, 240)])
    assert len(said()) == 1
    assert "since step 220 " in said()[0]
    # one good look is no recovery, and no reason for a second warning
    drive(watcher, [(250, GOOD), (260, UNIFORM), (270, GOOD), (280, GOOD)])
    assert len(said()) == 1
    drive(watcher, [(290, GOOD), (300, GOOD)])
    assert said()[1:] == [
        "collapse: at step 290 the teacher's output is no longer uniform (ce: entropy 2.50 of at most log 64 = 4.16 "
        "nats, KL 1.000)"
    ]
    drive(watcher, [(step, UNIFORM) for step in (310, 320, 330)])
    assert "since step 310 " in said()[2]


def test_nothing_is_told_in_the_grace_but_it_is_counted(said):
    watcher = monitor(grace=0.1)
    drive(watcher, [(step, UNIFORM) for step in range(10, 101, 10)])
    assert said() == []
    drive(watcher, [(110, UNIFORM)])
    assert "since step 10 " in said()[0]


def test_only_the_gravest_is_told_until_it_is_over(said):
    both = outputs(entropy=0.999 * LOG_K, kl=0.001, features=line(B, D), projections=same(B, K))
    watcher = monitor()
    drive(watcher, [(step, both) for step in range(10, 101, 10)])
    assert len(said()) == 1
    assert "uniform" in said()[0]
    drive(watcher, [(step, FLAT) for step in (110, 120, 130, 140)])
    assert "no longer uniform" in said()[1]
    assert "features have varied along hardly more than one direction since step 10 " in said()[2]
    # and something graver is news
    drive(watcher, [(step, both) for step in (150, 160, 170)])
    assert "has been uniform since step 150 " in said()[3]
    assert len(said()) == 4


def test_a_resumed_run_goes_on_counting(said):
    given = [(step, UNIFORM if 30 <= step <= 60 else GOOD) for step in range(10, 121, 10)]
    drive(monitor(), given)
    straight = said()
    assert len(straight) == 2
    watcher = monitor()
    for step in given:
        state = json.loads(json.dumps(watcher.state_dict()))
        watcher = monitor()
        watcher.load_state_dict(state)
        drive(watcher, [step])
    assert said()[2:] == straight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: 0 must be 1 or more"),
        ({"patience": 0}, "patience: 0 must be 1 or more"),
        ({"max_images": 1}, "max_images: 1 must be 2 or more"),
        ({"grace": 1.5}, "grace: 1.5 must be from 0 to 1"),
        ({"uniform_above": math.nan}, "uniform_above: nan must be from 0 to 1"),
        ({"peaked_below": -0.1}, "peaked_below: -0.1 must be from 0 to 1"),
        ({"std_below": 2.0}, "std_below: 2.0 must be from 0 to 1"),
        ({"rank_below": 1.1}, "rank_below: 1.1 must be from 0 to 1"),
        ({"kl_below": math.inf}, "kl_below: inf must be 0 nats or more"),
    ],
)
def test_senseless_options_are_refused(options, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        CollapseMonitor(**options)


# --- real runs -------------------------------------------------------------------------------------------------


def short(**sections):
    """A run of 44 steps in about three seconds, looked at often."""
    return tiny(
        optimizer={"name": "adamw", "lr": {"cosine": [0.01, 1e-6, 1]}, "weight_decay": 0.04},
        augment=TINY["augment"] | {"local_crops": 0},
        train=TINY["train"] | {"epochs": 4},
        evaluate={},
        watch={"progress": None, "tensorboard": None, "collapse": {"every": 4, "patience": 3}},
        **sections,
    )


def test_a_healthy_run_is_told_nothing(tmp_path, said):
    sslkit.fit(short(), out=tmp_path / "run")
    assert not [line for line in said() if "collapse" in line]


def test_sharpening_without_centering_is_told_as_one_dimension_also_by_a_resumed_run(tmp_path, said):
    sharp = short(teacher={"name": "student_copy"}, loss={"name": "dino", "center_momentum": 1.0})
    sslkit.fit(sharp, {"train.max_steps": 22}, out=tmp_path / "run")
    assert not [line for line in said() if "collapse" in line]
    sslkit.fit(sharp, out=tmp_path / "run")
    (warning,) = [line for line in said() if "collapse" in line]
    since = re.search(r"picked the same one dimension for every image since step (\d+) \(dino: ", warning)
    assert since is not None
    assert int(since[1]) < 22, "the looks before the interruption count"
    assert warning in (tmp_path / "run" / "log.txt").read_text()


def test_a_teacher_that_is_not_sharp_is_told_as_uniform(tmp_path, said):
    hot = {"name": "dino", "student_temp": 1.0, "teacher_temp": 1.0, "warmup_teacher_temp": 1.0}
    sslkit.fit(short(loss=hot), out=tmp_path / "run")
    (warning,) = [line for line in said() if "collapse" in line]
    assert "uniform since step " in warning
