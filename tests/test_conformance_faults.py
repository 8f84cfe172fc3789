"""The conformance kit finds planted faults, one at a time, and nothing in the sound twins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sslkit
from sslkit.parts import Answers, LossTerms, Metrics, Tokens, ViewSpec
from sslkit.testing import check_loss, checks_of

sys.path.insert(0, str(Path(__file__).parent / "stranger"))
from sslkit_stranger.images import Flips, StripeImages, Stripes
from sslkit_stranger.judging import Diary, Distance
from sslkit_stranger.nets import Affine, Pooled
from sslkit_stranger.training import Average, Centred, Descent, Fading, Shorten

SOUND: dict[str, type] = {
    "dataset": Stripes, "augmenter": Flips, "backbone": Pooled, "head": Affine, "loss": Centred, "teacher": Average,
    "optimizer": Descent, "schedule": Fading, "clip": Shorten, "evaluator": Distance, "watcher": Diary,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {"schedule": {"start": 0.1}}


def broken_rules(kind: str, target: type) -> set[str]:
    """Every rule that is broken, without the one that starts processes."""
    found: dict[str, str] = {}
    for check in checks_of(kind, target, OPTIONS.get(kind)):
        if check.rule != "two_ranks":
            try:
                check()
            except AssertionError as error:
                found[check.rule] = str(error)
    for rule, told in found.items():
        assert f"breaks the rule {kind}.{rule}: " in told
        assert f"docs/contracts.md#{kind}" in told
    return set(found)


@pytest.mark.parametrize("kind", SOUND)
def test_nothing_is_found_in_the_sound_twin(kind: str) -> None:
    assert broken_rules(kind, SOUND[kind]) == set()


def faulty(kind: str, **changes: Any) -> type:
    """The sound part with some methods replaced, and its docstring."""
    return type("Faulty", (SOUND[kind],), {"__doc__": SOUND[kind].__doc__, **changes})


def drawn(self: Any, *args: Any, **kwargs: Any) -> Any:
    torch.rand(1)
    return SOUND["backbone"].forward(self, *args, **kwargs)


def noisy_render(self: Any, image: Any, view: ViewSpec, draws: Mapping[str, Any]) -> Any:
    pixels = Flips.render(self, image, view, draws)
    self.calls = getattr(self, "calls", 0) + 1
    return 255 - pixels if self.calls % 2 else pixels


def random_draw(self: Any, view: ViewSpec, width: int, height: int, generator: np.random.Generator) -> Any:
    return {"flip": bool(np.random.random() < 0.5)}


def moving_forward(self: Any, *args: Any, **kwargs: Any) -> LossTerms:
    self.centre += 1
    return Centred.forward(self, *args, **kwargs)


def forgetful_commit(self: Any, updates: Any, at: Any) -> None:
    self.seen = getattr(self, "seen", 0) + 1
    self.centre.fill_(self.seen)


def taught(self: Any, student: Any, teacher: Any, views: Any, at: Any) -> LossTerms:
    return LossTerms(
        sum((student.projections[v] - t).square().mean() for v, t in teacher.projections.items()),
        {},
        {"mean": torch.zeros(6)},
    )


def attached(self: Any, *args: Any, **kwargs: Any) -> LossTerms:
    terms = Centred.forward(self, *args, **kwargs)
    return LossTerms(terms.total, {"total": terms.total}, terms.update)


def half(self: Any, student: Any, teacher: Any, views: Any, at: Any) -> LossTerms:
    return LossTerms(student.projections["global0"].square().mean(), {}, {"mean": torch.zeros(6)})


def divided(self: Any, student: Any, teacher: Any, views: Any, at: Any) -> LossTerms:
    rows = student.projections["global0"].float()
    return LossTerms((rows / rows.std(0)).square().mean(), {}, {"mean": torch.zeros(6)})


def centred(self: Any, student: Any, teacher: Any, views: Any, at: Any) -> LossTerms:
    rows = student.projections["global0"].float()
    return LossTerms((rows - rows.mean(0)).square().mean(), {}, {"mean": torch.zeros(6)})


def with_unused_layer(self: Any, channels: int, image_size: int, width: int = 8) -> None:
    Pooled.__init__(self, channels, image_size, width)
    self.unused = nn.Linear(2, 2)


def over_the_batch(self: Any, images: Any, patches: bool = False) -> Tokens:
    tokens = Pooled.forward(self, images)
    return Tokens(tokens.cls - tokens.cls.mean(0))


def labelled_wrongly(self: Any, which: str) -> Any:
    images = StripeImages(8, 0)
    images.label = lambda index: 7
    return images


def moves_student(self: Any, teacher: nn.Module, student: nn.Module, at: Any) -> None:
    Average.update(self, teacher, student, at)
    with torch.no_grad():
        next(iter(student.parameters())).zero_()


def trains_the_net(self: Any, frozen: Any, data: Any, out_dir: Path) -> Metrics:
    with torch.no_grad():
        frozen.backbone.patch.weight.mul_(0.9)
    return Distance.evaluate(self, frozen, data, out_dir)


def hides_infinity(self: Any, gradients: Any) -> Any:
    return Shorten.__call__(self, gradients).nan_to_num()


def lengthens(self: Any, gradients: Any) -> Any:
    norms = Shorten.__call__(self, gradients)
    for gradient, norm in zip(gradients, norms, strict=True):
        gradient.mul_(2 if norm < 0.5 else 1)
    return norms


def counting(self: Any, at: Any) -> float:
    self.calls = getattr(self, "calls", 0) + 1
    return float(self.calls)


@sslkit.hookimpl
def misspelt_arguments(self: Any, at: Any, gradients: Any) -> None:
    """No hook has gradients."""


@sslkit.hookimpl
def before_steps(self: Any, at: Any) -> None:
    """There is no such hook."""


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no docstring": ("clip", {"__doc__": ""}, "documented_options"),
    "an option without a line": ("clip", {"__doc__": "Shortens."}, "documented_options"),
    "a hook that does not exist": ("head", {"before_steps": before_steps}, "known_hooks"),
    "a hook with an argument that it has not": ("head", {"before_step": misspelt_arguments}, "known_hooks"),
    "a hook of a kind without hooks": ("clip", {"after_step": before_steps}, "known_hooks"),
    "a backbone that draws in eval mode": ("backbone", {"forward": drawn}, "deterministic"),
    "features of the wrong width": ("backbone", {"embed_dim": property(lambda _: 3, lambda *_: None)}, "shapes"),
    "a layer that gets no gradient": ("backbone", {"__init__": with_unused_layer}, "every_weight_learns"),
    "samples that see each other": ("backbone", {"forward": over_the_batch}, "samples_apart"),
    "a capability that is not there": ("backbone", {"capabilities": frozenset({"attention"})}, "capabilities"),
    "a head that loses leading dimensions": (
        "head", {"forward": lambda self, x: self.linear(x.flatten(0, -2))}, "shapes",
    ),
    "a head that divides by zero": (
        "head", {"forward": lambda self, x: self.linear(x / x.norm(dim=-1, keepdim=True))}, "edges",
    ),
    "pixels that are drawn in render": ("augmenter", {"render": noisy_render}, "pure_pixels"),
    "draws from the global generator": ("augmenter", {"draw": random_draw}, "draws"),
    "pixels as floats": ("augmenter", {"render": lambda *a: Flips.render(*a).float()}, "pure_pixels"),
    "a buffer that moves in forward": ("loss", {"forward": moving_forward}, "no_side_effects"),
    "state that is no buffer": ("loss", {"commit": forgetful_commit}, "resumes"),
    "a teacher that gets a gradient": ("loss", {"forward": taught}, "only_the_student_learns"),
    "a log that keeps the graph": ("loss", {"forward": attached}, "terms"),
    "a loss in half precision": ("loss", {"forward": half}, "half_precision"),
    "a loss of duplicates that is not finite": ("loss", {"forward": divided}, "edges"),
    "a loss that learns nothing of one image": ("loss", {"forward": centred}, "least_batch"),
    "a need that does not exist": ("loss", {"needs": frozenset({"projection"})}, "known_needs"),
    "a rule that moves the student": ("teacher", {"update": moves_student}, "moves_the_teacher_alone"),
    "a rule that forgets": (
        "teacher", {"state_dict": lambda self: {}, "load_state_dict": lambda self, state: None}, "resumes",
    ),
    "a rule that hands the student out": ("teacher", {"start": lambda self, student: student}, "starts_as_a_copy"),
    "a schedule that counts": ("schedule", {"__call__": counting}, "pure"),
    "a schedule that does not scale": ("schedule", {"scaled": lambda self, factor: self}, "scales"),
    "a clipper that hides what is not finite": ("clip", {"__call__": hides_infinity}, "edges"),
    "a clipper that lengthens": ("clip", {"__call__": lengthens}, "bounds"),
    "an optimizer that leaves groups out": (
        "optimizer", {"create": lambda self, groups: torch.optim.SGD(groups[:1], 0.1)}, "obeys_the_rates",
    ),
    "labels beyond the classes": ("dataset", {"split": labelled_wrongly}, "labels"),
    "no images to train on": ("dataset", {"split": lambda self, which: None}, "splits"),
    "an evaluator that trains the net": ("evaluator", {"evaluate": trains_the_net}, "leaves_the_net"),
    "an evaluator that finds nothing": (
        "evaluator", {"evaluate": lambda *_: Metrics({"x": float("nan")})}, "finds_numbers",
    ),
    "an evaluator whose answers are not its number": (
        "evaluator",
        {"evaluate": lambda *_: Metrics({"top1": 50.0}, answers={"top1": Answers(torch.arange(4), torch.ones(4) > 0)})},
        "finds_numbers",
    ),
    "a watcher whose state is no data": ("watcher", {"state_dict": lambda self: {"path": object()}}, "resumes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    kind, changes, rule = FAULTS[fault]
    assert rule in broken_rules(kind, faulty(kind, **changes))


class LocalMean(Centred):
    """Subtracts the mean of this rank's projections alone.

    Args:
        out_dim: width of the projections.
        views: the augmenter's views.
        momentum: of the centre.
    """

    least_batch = 2

    def forward(self, student: Any, teacher: Any, views: Any, at: Any) -> LossTerms:
        """A loss that forgets the other ranks."""
        rows = student.projections["global0"].float()
        return LossTerms((rows - rows.mean(0)).square().mean(), {}, {"mean": torch.zeros(6)})


def test_a_loss_that_forgets_the_other_ranks_is_found() -> None:
    with pytest.raises(AssertionError) as found:
        check_loss(LocalMean)
    (told,) = str(found.value).splitlines()
    assert "breaks the rule loss.two_ranks: on two ranks the total of step 0 is another" in told


def test_the_sound_loss_is_the_same_on_two_ranks() -> None:
    check_loss(Centred)
