"""The runner: which nets, what is skipped and why, what is checked; and training does not notice."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from evaluation_parts import GREY, Patterns, Splits, TinyConv, tiny_conv
from sslkit.errors import RunError, UserError
from sslkit.evaluation.runner import EvaluationResult, run_evaluators
from sslkit.parts import Backbone, Dataset, Evaluator, Frozen, Metrics
from sslkit_evaluators.subset import Some


class Probe(Evaluator):
    """Does what it is told."""

    def __init__(self, values: Mapping[str, object] | None = None, error: Exception | None = None) -> None:
        self.values, self.error = {"width": 1.0} if values is None else values, error

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        assert not frozen.backbone.training
        assert out_dir.is_dir()
        frozen.features(data.split("train"))
        # a rude evaluator
        random.random(), np.random.rand(), torch.rand(3)
        if self.error is not None:
            raise self.error
        return Metrics(self.values)


class Draws(Evaluator):
    """Tells what the global generators give it."""

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        return Metrics({"torch": float(torch.rand(())), "numpy": np.random.rand(), "python": random.random()})


class Writes(Evaluator):
    """Writes a file, inside its folder or outside."""

    def __init__(self, outside: bool = False) -> None:
        self.outside = outside

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        path = (out_dir.parent if self.outside else out_dir) / "picture.png"
        path.write_bytes(b"x")
        return Metrics({"files": 1}, (path,))


class Wants(Probe):
    """Needs everything there is."""

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "test", "attention"})


class Capable(TinyConv):
    """Declares attention."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"attention"})


def run(
    tmp_path: Path,
    specs: Mapping[str, Evaluator | tuple[Evaluator, tuple[str, ...]]],
    nets: Mapping[str, Backbone] | None = None,
    data: Dataset | None = None,
    seed: int = 0,
) -> EvaluationResult:
    return run_evaluators(
        {key: spec if isinstance(spec, tuple) else (spec, ("teacher",)) for key, spec in specs.items()},
        nets or {"teacher": tiny_conv(1), "student": tiny_conv(2)},
        data or Splits(Patterns(9), Patterns(5, salt=1)),
        preprocess=GREY,
        device=torch.device("cpu"),
        seed=seed,
        batch_size=4,
        workers=0,
        precision=None,
        out_dir=tmp_path / "out",
    )


def test_values_are_keyed_by_net_evaluator_and_metric(tmp_path: Path) -> None:
    both = ("teacher", "student")
    result = run(tmp_path, {"a": Probe(), "b": (Probe({"x.y-z_1": 2}), both)})
    assert result.values == {"teacher/a/width": 1.0, "teacher/b/x.y-z_1": 2.0, "student/b/x.y-z_1": 2.0}
    assert not result.skipped
    assert not (tmp_path / "out").exists()


def test_the_student_stands_in_for_a_teacher_but_only_once(tmp_path: Path) -> None:
    both = ("teacher", "student")
    result = run(tmp_path, {"a": Probe(), "b": (Probe(), both)}, nets={"student": tiny_conv()})
    assert set(result.values) == {"student/a/width", "student/b/width"}


def test_a_net_that_is_not_there_is_told(tmp_path: Path) -> None:
    student = ("student",)
    result = run(tmp_path, {"a": (Probe(), student)}, nets={"teacher": tiny_conv()})
    assert result.skipped == {"student/a": "there is no student (there is: teacher): change its 'which'"}


@pytest.mark.parametrize(
    ("data", "net", "reason"),
    [
        (Splits(Patterns(4)), Capable(), "needs test images .* folder with train/ and val/"),
        (Splits(Patterns(4), Patterns(0)), Capable(), "needs test images"),
        (Splits(Patterns(4), Patterns(4, labelled=False)), Capable(), "needs labels .* folder of its own"),
        (Splits(Patterns(4, labelled=False), Patterns(4)), Capable(), "needs labels"),
        (Splits(Patterns(4), Patterns(4)), tiny_conv(), r"attention .* TinyConv .*\(it has: none\).* such as a ViT"),
    ],
)
def test_what_lacks_is_told_with_what_would_help(tmp_path: Path, data: Dataset, net: Backbone, reason: str) -> None:
    result = run(tmp_path, {"picky": Wants(), "easy": Probe()}, nets={"student": net}, data=data)
    assert set(result.values) == {"student/easy/width"}
    assert set(result.skipped) == {"student/picky"}
    assert re.search(reason, result.skipped["student/picky"])


def test_what_is_there_runs(tmp_path: Path) -> None:
    assert run(tmp_path, {"picky": Wants()}, nets={"student": Capable()}).values == {"student/picky/width": 1.0}


def test_errors_say_whose_they_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^evaluate\.mine: k: 9 is too much$"):
        run(tmp_path, {"mine": Probe(error=UserError("k: 9 is too much"))})
    with pytest.raises(RunError, match=r"^teacher/mine: it diverged$"):
        run(tmp_path, {"mine": Probe(error=RunError("it diverged"))})


def test_a_net_whose_features_are_not_finite_is_named(tmp_path: Path) -> None:
    broken = tiny_conv()
    torch.nn.init.constant_(broken.body[0].weight, float("inf"))
    both = ("teacher", "student")
    with pytest.raises(RunError, match=r"^student/mine: the features of 9 of 9 images are not finite"):
        run(tmp_path, {"mine": (Probe(), both)}, nets={"teacher": tiny_conv(), "student": broken})


@pytest.mark.parametrize("values", [{"a/b": 1.0}, {"": 1.0}, {"a b": 1.0}, {"x": "high"}, {"x": True}, {"x": None}])
def test_metrics_that_are_none_are_errors(tmp_path: Path, values: Mapping[str, object]) -> None:
    with pytest.raises(RunError, match=r"^teacher/mine: "):
        run(tmp_path, {"mine": Probe(values)})


def test_metrics_that_are_not_finite_are_left_out_and_told(tmp_path: Path) -> None:
    result = run(tmp_path, {"mine": Probe({"good": 1.0, "bad": float("nan")})})
    assert result.values == {"teacher/mine/good": 1.0}
    assert result.skipped == {"teacher/mine/bad": "the metric is nan"}


def test_artifacts_lie_in_the_evaluators_own_folder(tmp_path: Path) -> None:
    both = ("teacher", "student")
    result = run(tmp_path, {"draw": (Writes(), both)})
    assert result.artifacts == [tmp_path / "out" / net / "draw" / "picture.png" for net in ("teacher", "student")]
    assert all(path.is_file() for path in result.artifacts)
    with pytest.raises(RunError, match="no file below the folder"):
        run(tmp_path, {"draw": Writes(outside=True)})


def test_unreadable_images_are_listed_once_for_all_nets_and_evaluators(tmp_path: Path) -> None:
    both = ("teacher", "student")
    data = Splits(Patterns(9, unreadable=(2, 5)))
    result = run(tmp_path, {"a": (Probe(), both), "b": (Probe(), both)}, data=data)
    assert [bad.name for bad in result.bad] == ["pattern-0-2", "pattern-0-5"]


def test_splits_are_made_once_so_features_are_too(tmp_path: Path) -> None:
    class Anew(Dataset):
        def split(self, which: str) -> Patterns | None:
            return Patterns(9) if which == "train" else None

    net = tiny_conv()
    calls: list[int] = []
    net.register_forward_hook(lambda *_: calls.append(1))
    run(tmp_path, {"a": Probe(), "b": Probe()}, nets={"student": net}, data=Anew())
    assert len(calls) == 3  # chunks of 4, 4 and 1


def test_training_does_not_notice(tmp_path: Path) -> None:
    nets = {"teacher": tiny_conv(1), "student": tiny_conv(2)}
    nets["student"].train()
    nets["teacher"].eval()
    nets["teacher"].body[1].train()
    nets["teacher"].requires_grad_(False)
    before = {key: value.clone() for net in nets.values() for key, value in net.state_dict().items()}
    modes = [[module.training for module in net.modules()] for net in nets.values()]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), float(np.random.rand()), float(torch.rand(()))
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    both = ("teacher", "student")
    run(tmp_path, {"a": (Probe(), both)}, nets=nets)
    with pytest.raises(RunError):
        run(tmp_path, {"a": (Probe(error=RunError("no")), both)}, nets=nets)
    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) == expected
    assert [[module.training for module in net.modules()] for net in nets.values()] == modes
    assert all(parameter.requires_grad for parameter in nets["student"].parameters())
    assert not any(parameter.requires_grad for parameter in nets["teacher"].parameters())
    assert all(torch.equal(nets["student"].state_dict()[key], before[key]) for key in before)


def test_global_draws_inside_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first = run(tmp_path, {"a": Draws()}).values
    torch.manual_seed(99)
    assert run(tmp_path, {"a": Probe(), "b": Draws()}).values["teacher/b/torch"] == first["teacher/a/torch"]
    other = run(tmp_path, {"a": Draws()}, seed=1).values
    assert not set(first.values()) & set(other.values())


def test_unreadable_images_are_named_by_split_also_where_a_part_of_it_was_read(tmp_path: Path) -> None:
    train, test = Patterns(8, unreadable=(2, 5)), Patterns(8, salt=0, unreadable=(2,))

    class Part(Evaluator):
        def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
            whole, asked = data.split("train"), data.split("test")
            assert whole is not None
            assert asked is not None
            frozen.features(Some(whole, [7, 5, 2, 1]))
            frozen.features(Some(Some(whole, [2, 5]), [1]))
            frozen.features(asked)
            frozen.features(Patterns(2, salt=9, unreadable=(0,)))
            with pytest.raises(OSError, match="tired"):
                frozen.image(whole, 2)
            return Metrics({"x": 1.0})

    result = run(tmp_path, {"mine": Part()}, data=Splits(train, test))
    assert [(bad.split, bad.index, bad.name) for bad in result.bad] == [
        ("train", 5, "pattern-0-5"), ("train", 2, "pattern-0-2"), ("test", 2, "pattern-0-2"), ("", 0, "pattern-9-0"),
    ]  # fmt: skip
