# ruff: noqa: E501 - one case beside the other
from __future__ import annotations

from typing import Any, Literal

import pytest

from sslkit.errors import UserError
from sslkit.recipe.given import Given, Layer, Text
from sslkit.recipe.signature import describe, options_of
from sslkit.recipe.values import typed

Two = tuple[float, float]
Nets = tuple[Literal["teacher", "student"], ...]


def read(hint: Any, value: Any) -> Any:
    return typed(hint, Given(value, ("head", "x"), Layer("r.yaml", {})))


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 3, 3), (int, 3.0, 3), (float, 3, 3.0), (float, 1e-3, 1e-3), (bool, True, True), (str, "null", "null"),
        (str | None, "null", "null"), (str | None, None, None), (int | None, None, None), (int | str, "12", "12"),
        (int | str, 12, 12), (Two, [1, 2.5], (1.0, 2.5)), (tuple[int, ...], [], ()), (list[str], ["a"], ["a"]),
        (dict[str, float], {"a.b": 1}, {"a.b": 1.0}), (Literal["a", 3], 3, 3), (Literal["a", "b"] | None, "b", "b"),
        (Nets, ["student"], ("student",)), (tuple[tuple[int, str], ...], [[1, "a"]], ((1, "a"),)),
        (bool | float, 1, 1.0), (bool | float, True, True), (list[list[int]], [[1], []], [[1], []]),
        # command-line text: what the option wants it to be
        (str, Text("12", 12), "12"), (str, Text("true", True), "true"), (str, Text("null", None), "null"),
        (str | None, Text("null", None), None), (int | str, Text("12", 12), 12), (int | None, Text("12", 12), 12),
        (float, Text("1", 1), 1.0), (Literal["1", "2"], Text("1", 1), "1"), (bool, Text("true", True), True),
    ],
)  # fmt: skip
def test_values_become_what_the_annotation_says(hint: Any, value: Any, expected: Any) -> None:
    result = read(hint, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "1"), (int, True), (int, 1.5), (int, None), (int, [1]), (float, "1e-3"), (float, True), (float, None),
        (float, float("nan")), (float, float("inf")), (float, 10**400), (bool, "true"), (bool, "no"), (bool, 1), (bool, 0),
        (str, 1), (str, None), (str, True), (str, ["a"]), (str | None, 1), (int | None, "null"), (int | None, "1"),
        (Literal["a", 3], "3"), (Literal["a"], "b"), (Literal["a"], None), (Two, [1]), (Two, [1, 2, 3]), (Two, "[1, 2]"),
        (Two, [1, "2"]), (Two, [1, True]), (Two, [1, None]), (Two, [1, float("nan")]), (Two, None), (list[int], "[1]"),
        (list[int], 1), (list[int], ["1"]), (list[int], [None]), (list[int], {"a": 1}), (dict[str, float], [1]),
        (dict[str, float], {"a": "1"}), (dict[str, float], {"a": None}), (dict[str, int], {"a": True}), (Nets, "teacher"),
        (Nets, ["both"]), (dict[str, float], {"class_path": "os.system"}), (int, {"class_path": "os.system"}),
        (int, Text("x", "x")), (bool, Text("1", 1)), (int, Text("", "")), (int, Text("null", None)),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(hint: Any, value: Any) -> None:
    with pytest.raises(UserError, match=r"^r.yaml: head.x: expected "):
        read(hint, value)


def test_a_given_list_is_not_changed() -> None:
    value = ["1"]
    with pytest.raises(UserError):
        read(list[int], value)
    assert value == ["1"]


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int | None, "a whole number or null"), (Two, "a list of 2 values (a number)"), (bool, "true or false"),
        (Nets, "a list (of one of teacher, student)"), (dict[str, int], "a mapping of names to a whole number"),
    ],
)  # fmt: skip
def test_annotations_are_said_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words


class Untyped:
    def __init__(self, x) -> None: ...  # type: ignore[no-untyped-def]


class Named:
    def __init__(self, name: str) -> None: ...


class Wide:
    def __init__(self, x: Any) -> None: ...


class Hidden:
    def __init__(self, x: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821


class Nested:
    def __init__(self, x: list[dict[int, str]]) -> None: ...


@pytest.mark.parametrize("part", [Untyped, Named, Wide, Hidden, Nested])
def test_a_signature_that_recipes_cannot_fill_is_its_authors_fault(part: type) -> None:
    with pytest.raises(UserError, match=f"{part.__name__} cannot be used in recipes: "):
        options_of(part)
