# ruff: noqa: E501 - cases and messages stay on one line
from __future__ import annotations

from typing import Any

import pytest

from recipe_parts import registry
from sslkit.errors import UserError
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import PartSpec, Recipe
from sslkit.recipe.overrides import split_overrides

REST: dict[str, Any] = {"data": "toy", "augment": "crops", "backbone": "net", "loss": "ce", "optimizer": "adam"}


def load(given: dict[str, Any], *words: str) -> Recipe:
    return load_recipe({**REST, **given}, split_overrides(words, ())[1], registry())


def lr(given: Any, *words: str) -> tuple[str, dict[str, Any]]:
    """The optimizer's lr after a recipe's value (None: nothing is said) and command-line words."""
    optimizer = {"name": "adam"} if given is None else {"name": "adam", "lr": given}
    recipe = load({"optimizer": optimizer}, *words)
    spec = recipe.optimizer.options["lr"]
    assert isinstance(spec, PartSpec)
    assert spec.kind == "schedule"
    return spec.name, dict(spec.options)


COSINE = {"start": 0.1, "end": 0.0, "warmup_epochs": 0.0}


@pytest.mark.parametrize(
    ("given", "name", "options"),
    [
        (None, "cosine", {"start": 5e-4, "end": 1e-6, "warmup_epochs": 10.0}),
        (0.1, "constant", {"value": 0.1}),
        (1, "constant", {"value": 1.0}),
        ({"constant": 0.5}, "constant", {"value": 0.5}),
        ({"cosine": [0.1, 0]}, "cosine", COSINE),
        ({"cosine": [0.1, 0, 3]}, "cosine", {**COSINE, "warmup_epochs": 3.0}),
        ({"cosine": {"end": 0, "start": 0.1}}, "cosine", COSINE),
        ({"name": "cosine", "start": 0.1, "end": 0}, "cosine", COSINE),
        ({"fakes:cosine": [0.1, 0]}, "fakes:cosine", COSINE),
        ({"linear": [0.1, 0]}, "linear", {"start": 0.1, "end": 0.0}),
        # bare arguments change the signature's default
        ({"start": 0.1}, "cosine", {"start": 0.1, "end": 1e-6, "warmup_epochs": 10.0}),
        ({"start": 0.1, "end": 0}, "cosine", {"start": 0.1, "end": 0.0, "warmup_epochs": 10.0}),
    ],
)
def test_every_way_to_write_a_schedule(given: Any, name: str, options: dict[str, float]) -> None:
    assert lr(given) == (name, options)


@pytest.mark.parametrize(
    ("given", "words", "name", "options"),
    [
        ({"cosine": [0.1, 0, 3]}, ["--optimizer.lr.start", "1"], "cosine", {"start": 1.0, "end": 0.0, "warmup_epochs": 3.0}),
        (None, ["--optimizer.lr.end=0"], "cosine", {"start": 5e-4, "end": 0.0, "warmup_epochs": 10.0}),
        ({"cosine": [0.1, 0, 3]}, ["--optimizer.lr.cosine.start", "1"], "cosine",
         {"start": 1.0, "end": 0.0, "warmup_epochs": 3.0}),
        ({"cosine": [0.1, 0, 3]}, ["--optimizer.lr", "{cosine: [1, 0.5]}"], "cosine",
         {"start": 1.0, "end": 0.5, "warmup_epochs": 3.0}),
        ({"cosine": [0.1, 0, 3]}, ["--optimizer.lr", "{linear: [1, 0.5]}"], "linear", {"start": 1.0, "end": 0.5}),
        ({"cosine": [0.1, 0, 3]}, ["--optimizer.lr", "2e-3"], "constant", {"value": 0.002}),
        (0.5, ["--optimizer.lr", "0.25"], "constant", {"value": 0.25}),
        (0.5, ["--optimizer.lr.value", "0.25"], "constant", {"value": 0.25}),
        (0.5, ["--optimizer.lr.end", "0", "--optimizer.lr", "{cosine: {start: 1}}"], "cosine", {**COSINE, "start": 1.0}),
    ],
)  # fmt: skip
def test_the_command_line_changes_schedules(given: Any, words: list[str], name: str, options: dict[str, float]) -> None:
    assert lr(given, *words) == (name, options)


def test_a_number_over_a_schedule_says_what_was_dropped() -> None:
    recipe = load({"optimizer": {"name": "adam", "lr": {"cosine": [0.1, 0]}}}, "--optimizer.lr", "0.001")
    assert recipe.notes == (
        "--optimizer.lr 0.001 replaces the schedule cosine (its start, end); "
        "--optimizer.lr.start 0.001 would change its start alone",
    )
    assert load({"optimizer": {"name": "adam", "lr": 0.1}}, "--optimizer.lr", "0.001").notes == ()
    assert load({"teacher": {"name": "ema", "momentum": 0.9}}).notes == ()
    over_default = load({}, "--optimizer.lr", "{linear: [1, 0]}")
    assert over_default.notes == (
        "--optimizer.lr {'linear': [1, 0]} replaces the schedule cosine (its start, end, warmup_epochs)",
    )


def test_an_optional_schedule_may_be_null() -> None:
    assert load({}).losses["ce"].part.options["warmup"] is None
    named = load({"loss": {"name": "ce", "warmup": {"linear": [0, 1]}}})
    assert named.losses["ce"].part.options["warmup"].name == "linear"
    assert load(dict(named.resolved) | {"loss": "ce"}, "--loss.warmup", "null") if False else True
    assert (
        load({"loss": {"name": "ce", "warmup": 1}}, "--loss.warmup", "null").losses["ce"].part.options["warmup"] is None
    )


@pytest.mark.parametrize(
    ("given", "words", "message"),
    [
        (True, [], "recipe: optimizer.lr: expected a number, .* got true"),
        (None, ["--optimizer.lr", "null"], "command line: --optimizer.lr: expected a number, .* got null"),
        ([1, 2], [], "recipe: optimizer.lr: expected a number, .* got \\[1, 2\\]"),
        ("cosin", [], "recipe: optimizer.lr: there is no schedule 'cosin'; did you mean 'cosine'\\?"),
        ({"cosin": [1, 2]}, [], "optimizer.lr.cosin: there is no such argument of the schedule 'cosine'; did you mean 'cosine'"),
        ({"stert": 1}, [], "recipe: optimizer.lr.stert: there is no such argument .* did you mean 'start'\\?"),
        ({}, ["--optimizer.lr.strat", "1"], "command line: --optimizer.lr.strat: there is no such argument .* 'start'\\?"),
        (0.1, ["--optimizer.lr.end", "1"], "--optimizer.lr.end: there is no such argument of the schedule 'constant'"),
        ({"cosine": [1, 2, 3, 4]}, [], "optimizer.lr.cosine: the schedule 'cosine' takes at most 3 arguments"),
        ({"cosine": [1]}, [], "optimizer.lr: the schedule 'cosine' needs 'end'; it has no default"),
        ({"cosine": {"start": 1, "end": "x"}}, [], "optimizer.lr.cosine.end: expected a number, got 'x'"),
        ({"cosine": [1, None]}, [], "optimizer.lr.cosine.end: expected a number, got null"),
        ({"name": "cosine", "start": 1, "end": 0, "x": 1}, [], "optimizer.lr.x: there is no such option of the schedule"),
        ({"name": 3}, [], "optimizer.lr: expected the name of a schedule, got 3"),
        (float("nan"), [], "optimizer.lr: expected a finite number, got nan"),
        (None, ["--optimizer.lr", "abc"], "--optimizer.lr: there is no schedule 'abc'"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(given: Any, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lr(given, *words)
