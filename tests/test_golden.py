"""``python -m sslkit_dino.golden``: the engine's own step and the evaluators against what the reference computed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import reduce
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from reference_dino import golden_training
from sslkit.testing import agreement
from sslkit_dino.golden import compare, compared, main

DATA = Path(__file__).parent / "data"

#: Every quantity of a golden training that is compared, as the table calls it.
TRAINING = {
    "student's outputs, step 0", "teacher's outputs, step 0", "gradients of step 0, before clipping",
    "learning rate, every step", "weight decay, every step", "teacher momentum, every step",
    "teacher temperature, every epoch", "loss, every step", "center, every step",
    "gradient norms before clipping, every step", "final student weights", "final teacher weights", "probe: feature",
    "probe: attention of the last block", "probe: tokens of the last two blocks",
    "probe: feature of a non-square image",
    "k-NN: top 1 and top 5 at k = [1, 5, 10, 20, 100]",
}  # fmt: skip


def test_the_training_agrees_with_the_reference_in_every_quantity() -> None:
    rows = compare(DATA / "dino_a.npz")
    assert {row.quantity for row in rows} == TRAINING
    assert not [row for row in rows if not row.ok]


def test_the_evaluators_agree_with_the_reference_in_every_quantity() -> None:
    rows = compare(DATA / "evaluators_a.npz")
    assert len([row for row in rows if row.quantity.startswith("augmentation: pixels")]) == 8
    kinds = Counter(row.quantity.partition(":")[0] for row in rows)
    assert kinds == {"retrieval": 7, "copy detection": 8, "video": 8, "linear": 3, "LARS": 3, "augmentation": 16}
    assert not [row for row in rows if not row.ok]


#: Configurations that the shared files do not have: each differs in sizes, schedules or parts from the others.
OTHER = {
    "bn_head_no_locals": {
        "bn": True, "n_local": 0, "norm_last": False, "freeze": 0, "clip": 0.0, "m": 0.9, "t_epochs": 0, "warmup": 0,
    },
    "bn_head": {"bn": True, "n_local": 2, "lr": 2e-3, "warmup": 0, "t_epochs": 6},
    "wide_and_long": {
        "patch": 8, "img": 40, "loc": 24, "dim": 60, "depth": 3, "heads": 5, "out": 300, "hid": 96, "bot": 24,
        "n_local": 7, "clip": 0.3, "freeze": 2, "t_epochs": 3, "batch": 3, "iters": 2, "epochs": 5, "warmup": 2,
        "norm_last": False,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_other_configurations_agree_with_a_plain_float64_reference(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / f"{name}.npz", **golden_training(OTHER[name], seed=3))
    rows = compare(tmp_path / f"{name}.npz")
    assert {row.quantity for row in rows} == {quantity for quantity in TRAINING if not quantity.startswith("k-NN")}
    assert not [row for row in rows if not row.ok]


def test_what_is_fair_behind_batchnorm_still_tells_mistakes(tmp_path: Path) -> None:
    golden = golden_training({"bn": True, "epochs": 2, "warmup": 0}, seed=4)
    golden["grad0/head.mlp.0.weight"] = golden["grad0/head.mlp.0.weight"] * (1 + 1e-3)
    golden["losses"] = golden["losses"] + 1e-4
    np.savez(tmp_path / "wrong.npz", **golden)
    rows = compare(tmp_path / "wrong.npz")
    assert {row.quantity for row in rows if not row.ok} == {"gradients of step 0, before clipping", "loss, every step"}


def test_the_plain_reference_agrees_with_the_shared_file() -> None:
    with np.load(DATA / "dino_a.npz") as file:
        golden = dict(file)
    found = golden_training({}, start=golden)
    for key in ("lr", "wd", "momentum", "teacher_temp", "student_out0", "teacher_out0", "losses", "centers",
                "clip_norms", "probe/cls_feature", "probe/last_attention", "probe/rect_cls_feature"):  # fmt: skip
        assert agreement(key, found[key], golden[key], 2e-6).ok, key


@pytest.mark.parametrize(
    ("key", "quantity"),
    [
        ("losses", "loss, every step"),
        ("centers", "center, every step"),
        ("clip_norms", "gradient norms before clipping, every step"),
        ("grad0/backbone.norm.weight", "gradients of step 0, before clipping"),
        ("final_student/backbone.blocks.0.mlp.fc1.weight", "final student weights"),
        ("final_teacher/head.mlp.0.weight", "final teacher weights"),
        ("student_out0", "student's outputs, step 0"),
        ("momentum", "teacher momentum, every step"),
        ("probe/rect_cls_feature", "probe: feature of a non-square image"),
    ],
)
def test_a_wrong_number_is_out_and_alone(
    key: str, quantity: str, short: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = dict(short)
    if key.startswith("final_student/"):
        # two steps hardly move a weight by more than rounding does
        with np.load(DATA / "dino_a.npz") as file:
            golden = dict(file)
    golden[key] = golden[key].copy()
    golden[key].flat[-1] += 1e-4 * np.abs(golden[key]).max()
    np.savez(tmp_path / "wrong.npz", **golden)
    assert main([str(tmp_path / "wrong.npz")]) == 1
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.endswith("OUT")]
    assert line.startswith(quantity)
    assert "16 of 17 quantities agree; 1 are out" in said


#: What a golden training may be made without, and the rows that are then left out; ``/`` at the end: the whole group.
OPTIONAL = {
    "clip_norms": {"gradient norms before clipping, every step"},
    "grad0/": {"gradients of step 0, before clipping", "gradient norms before clipping, every step"},
    "final_student/": {"final student weights"},
    "final_teacher/": {"final teacher weights"},
    "losses": {"loss, every step"},
    "centers": {"center, every step"},
    "lr": {"learning rate, every step"},
    "wd": {"weight decay, every step"},
    "momentum": {"teacher momentum, every step"},
    "teacher_temp": {"teacher temperature, every epoch"},
    "student_out0": {"student's outputs, step 0"},
    "teacher_out0": {"teacher's outputs, step 0"},
    "probe/": {quantity for quantity in TRAINING if quantity.startswith("probe")},
    "probe/image": {quantity for quantity in TRAINING if quantity.startswith("probe") and "square" not in quantity},
    "probe/rect_image": {"probe: feature of a non-square image"},
    "probe/last_attention": {"probe: attention of the last block"},
    "knn/": set(),
    "knn/top1_top5": {"k-NN: top 1 and top 5 at k = [1, 5, 10, 20, 100]"},
}  # fmt: skip


#: All of them, in a few files: each is without quantities that do not hide each other.
TOGETHER = [
    ["clip_norms", "losses", "lr", "final_student/", "probe/rect_image"],
    ["grad0/", "centers", "wd", "final_teacher/", "probe/last_attention"],
    ["momentum", "student_out0", "probe/image", "knn/top1_top5"],
    ["teacher_temp", "teacher_out0", "probe/"],
    ["knn/"],
]


def reduced(golden: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    left = {
        name: value for name, value in golden.items() if name != key and not (key[-1] == "/" and name.startswith(key))
    }
    assert len(left) < len(golden)
    return left


@pytest.fixture(scope="module")
def short() -> dict[str, np.ndarray]:
    """Two steps of a training that takes little time, with the k-NN problem of the shared file."""
    with np.load(DATA / "dino_a.npz") as stored:
        knn = {key: value for key, value in stored.items() if key.startswith("knn/")}
    return golden_training({"epochs": 1, "iters": 2, "n_local": 1, "batch": 2, "warmup": 0}, seed=5) | knn


def test_every_optional_quantity_is_left_out_once() -> None:
    assert sorted(key for keys in TOGETHER for key in keys) == sorted(OPTIONAL)


@pytest.mark.parametrize("keys", TOGETHER, ids=" ".join)
def test_a_file_without_some_quantities_is_compared_in_all_others(
    keys: list[str], short: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "part.npz", **reduce(reduced, keys, short))
    sheet = compared(tmp_path / "part.npz")
    missing = set().union(*(OPTIONAL[key] for key in keys))
    assert set(sheet.left_out) == missing
    knn = {quantity for quantity in TRAINING if quantity.startswith("k-NN")} if "knn/" in keys else set()
    assert {row.quantity for row in sheet.rows} == TRAINING - missing - knn
    assert all(row.ok for row in sheet.rows)


def test_what_is_left_out_is_printed_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = golden_training({"clip": 0.0, "bn": True, "epochs": 2, "warmup": 0}, seed=4)
    del golden["clip_norms"], golden["config/clip"]
    np.savez(tmp_path / "unclipped.npz", **golden)
    assert main([str(tmp_path / "unclipped.npz")]) == 0
    said = capsys.readouterr().out
    assert "gradient norms before clipping, every step           left out: not in the file" in said
    assert "15 of 15 quantities agree; 1 left out" in said


def evaluator_quantities() -> list[str]:
    """Every key of the evaluators' file that says what is right, rather than what goes in."""
    with np.load(DATA / "evaluators_a.npz") as stored:
        ends = (
            "/value",
            "/uint8",
            "/tensor",
            "/features",
            "_covariance",
            "_gram",
            "/logits",
            "cls_last2",
            "cls_and_mean",
        )
        starts = (
            "retrieval/mAP",
            "retrieval/AP",
            "retrieval/mP",
            "multiscale/f",
            "video/soft",
            "video/labels",
            "lars/final",
        )
        return [key for key in stored if key.endswith(ends) or key.startswith(starts)]


def test_the_evaluators_file_may_be_without_each_quantity_too(tmp_path: Path) -> None:
    keys = evaluator_quantities()
    with np.load(DATA / "evaluators_a.npz") as stored:
        golden = dict(stored)
    whole = {row.quantity for row in compare(DATA / "evaluators_a.npz")}
    assert len(keys) == len(whole)
    of_evaluators: dict[str, list[str]] = {}
    for key in [*keys[::5], "linear/weight", "video/first_labels"]:
        of_evaluators.setdefault(key.partition("/")[0], []).append(key)
    # one of each evaluator at a time
    for some in zip_longest(*of_evaluators.values()):
        missing = [key for key in some if key is not None]
        np.savez(tmp_path / "part.npz", **reduce(reduced, missing, golden))
        sheet = compared(tmp_path / "part.npz")
        assert len(sheet.left_out) >= len(missing)
        assert all(row.ok for row in sheet.rows)
        left = {row.quantity for row in sheet.rows}
        assert len(left) <= len(whole) - len(missing)
        assert left < whole


@pytest.mark.parametrize("content", [b"no archive", None])
def test_what_is_no_golden_file_is_one_sentence(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.npz"
    if content is None:
        np.savez(file, features=np.zeros(3))
    else:
        file.write_bytes(content)
    assert main([str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}: ")
    assert said.count("\n") == 1


def test_it_is_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sslkit_dino.golden", str(tmp_path / "nowhere.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'nowhere.npz'}: ")
