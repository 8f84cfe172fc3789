"""Whatever a user types: a recipe or one sentence, never a traceback, and no key is ignored."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recipe_parts import RECIPE, registry
from sslkit.errors import UserError
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override
from sslkit.recipe.yaml import read_yaml

PARTS = registry()
VALID = read_yaml(RECIPE, "r.yaml").data
FULL = dict(load_recipe(VALID, (), PARTS).resolved)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["ce", "ema", "cosine", "big", "knn", "csv", "null", "12", "", "name", "*", "1e3", ":", "fakes:big"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "cosine", "start", "k", "weight", "every", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.text(max_size=6) | st.sampled_from(
    ["name", "loss", "losses", "head", "base", "a.b", "weight", "lr", "momentum"]
)


def paths(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for key, value in data.items() if isinstance(data, dict) else ():
        yield from paths(value, (*path, key))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid recipe with a few values replaced, keys removed, added or renamed."""
    recipe = copy.deepcopy(draw(st.sampled_from([VALID, FULL])))
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in paths(recipe) if path]
        *outer, key = draw(st.sampled_from(places))
        inner = recipe
        for step in outer:
            inner = inner[step]
        action = draw(st.sampled_from(["replace", "remove", "add", "rename"]))
        if action == "replace":
            inner[key] = draw(VALUES)
        elif action == "add":
            inner[draw(KEYS)] = draw(VALUES)
        elif action == "rename":
            inner[draw(KEYS)] = inner.pop(key)
        else:
            del inner[key]
        if not recipe:
            break
    return recipe


def outcome(source: Any, overrides: list[Override]) -> dict[str, Any] | None:
    """The resolved recipe, or None for one clear sentence; anything else fails the test."""
    try:
        return dict(load_recipe(source, overrides, PARTS).resolved)
    except UserError as error:
        sentence = str(error)
    assert sentence.strip()
    assert len(sentence.splitlines()) == 1, sentence
    return None


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_mutated_recipe_is_a_recipe_or_one_sentence(recipe: dict[str, Any]) -> None:
    resolved = outcome(recipe, [])
    if resolved is not None:
        again = load_recipe(resolved, (), PARTS)
        assert dict(again.resolved) == resolved


SOME_KEYS = [".".join(path) for path in paths(FULL) if path]
WORDS = (
    st.sampled_from(SOME_KEYS)
    | st.text(max_size=8)
    | st.sampled_from(["loss", "loss.temp", "head.x", "teacher.momentum.e"])
)
TEXTS = st.text(max_size=10) | st.sampled_from(
    ["null", "{}", "[]", "1", "true", "{name: ema}", "ema", "[1", "{a: b", "- x"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.builds(Override, WORDS, TEXTS, st.just(True)), min_size=1, max_size=3))
def test_any_command_line_is_a_recipe_or_one_sentence(overrides: list[Override]) -> None:
    outcome(VALID, overrides)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(list("{}[]:,-&*!|>'\"#\n ab1")), max_size=40).map("".join))
def test_any_text_is_yaml_or_one_sentence(text: str) -> None:
    try:
        read_yaml(text, "r.yaml")
        sentence = "r.yaml"
    except UserError as error:
        sentence = str(error)
    assert sentence.startswith("r.yaml")
    assert len(sentence.splitlines()) == 1, sentence


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted({path for path in paths(VALID) if isinstance(path, tuple)})), st.text(min_size=1, max_size=8)
)
def test_a_key_that_no_one_knows_is_never_ignored(path: tuple[str, ...], key: str) -> None:
    recipe = copy.deepcopy(VALID)
    inner = recipe
    for step in path:
        inner = inner[step]
    if not isinstance(inner, dict) or "zz" + key in inner or path in {("evaluate",), ("losses",)}:
        return
    inner["zz" + key] = 1
    assert outcome(recipe, []) is None
