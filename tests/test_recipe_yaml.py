from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit.errors import UserError
from sslkit.recipe.dump import to_yaml
from sslkit.recipe.given import Text
from sslkit.recipe.yaml import read_value, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("5.0e-4", 5e-4), (".5", 0.5), ("-2", -2), ("+3", 3), ("0", 0), ("1.", 1.0),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("on", "on"), ("off", "off"), ("yes", "yes"), ("y", "y"),
        ("010", "010"), ("0x1F", "0x1F"), ("1:30", "1:30"), ("1_000", "1_000"), ("2024-01-01", "2024-01-01"),
        ("1e", "1e"), ("e3", "e3"), ("nan", "nan"), ("inf", "inf"), ("'12'", "12"), ('"true"', "true"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_scalars_are_read_without_surprises(text: str, value: object) -> None:
    read = read_yaml(f"key: {text}", "r.yaml").data["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_key_knows_its_line() -> None:
    document = read_yaml("a: 1\n\n# note\nb:\n  c: {d: 2,\n      e: 3}\n", "r.yaml")
    lines = {path: where.line for path, where in document.marks.items()}
    assert lines == {("a",): 1, ("b",): 4, ("b", "c"): 5, ("b", "c", "d"): 5, ("b", "c", "e"): 6}
    assert document.data == {"a": 1, "b": {"c": {"d": 2, "e": 3}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yaml: the recipe is empty"),
        ("# only a comment\n", "r.yaml: the recipe is empty"),
        ("- a\n- b\n", "r.yaml:1: a recipe is a mapping"),
        ("\njust text\n", "r.yaml:2: a recipe is a mapping"),
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3: a: given twice (first in line 1)"),
        ("h:\n  x: 1\n  x: 1\n", "r.yaml:3: h.x: given twice (first in line 2)"),
        ("a: 1\nb: [1, 2\nc: 3\n", "r.yaml:3: not valid YAML"),
        ("a: 1\n\tb: 2\n", "r.yaml:2: not valid YAML: indent with spaces"),
        ("a: !!python/object/apply:os.system ['true']\n", "r.yaml:1: not valid YAML: tags such as"),
        ("a: 1\nb: !!str 12\n", "r.yaml:2: not valid YAML: tags such as"),
        ("a: !thing {}\n", "r.yaml:1: not valid YAML: tags such as"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2: not valid YAML"),
        ("1: a\n", "r.yaml:1: keys are text"),
        ("h: {true: a}\n", "r.yaml:1: h: keys are text"),
        ("? [a]\n: b\n", "r.yaml:1: keys are text"),
        ("a: *missing\n", "r.yaml:1: not valid YAML"),
        ("a: &a [*a]\n", "r.yaml:1: too large for a recipe"),
        ("a: " + "[" * 60 + "]" * 60, "r.yaml:1: too large for a recipe"),
        ("a: " + "[" * 5000 + "]" * 5000, "r.yaml: nested too deep"),
        ("a: " + "9" * 5000, "r.yaml:1: a number with too many digits"),
        ("a: \x00", "r.yaml: not valid YAML"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_yaml(text, "r.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(UserError, match="too large"):
        read_yaml("\n".join(lines), "r.yaml")


def test_small_aliases_are_fine() -> None:
    assert read_yaml("a: &x {k: [1]}\nb: *x\n", "r.yaml").data == {"a": {"k": [1]}, "b": {"k": [1]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", Text("12", 12)), ("no", Text("no", "no")), ("null", Text("null", None)), ("", Text("", "")),
        ("'12'", "12"), ("[1, a]", [1, "a"]), ("{a: 1}", {"a": 1}), ("[1,", Text("[1,", "[1,")),
        ("@x", Text("@x", "@x")), ("a # b", Text("a # b", "a")), ("!!int 3", Text("!!int 3", "!!int 3")),
    ],
)  # fmt: skip
def test_command_line_values_keep_the_text_of_plain_scalars(text: str, value: object) -> None:
    assert read_value(text, "command line: --x") == value


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, min_size=1, max_size=5))
def test_what_is_written_reads_back_the_same(data: dict[str, object]) -> None:
    assert read_yaml(to_yaml(data), "r.yaml").data == data


@pytest.mark.parametrize("text", ["no", "on", "1e-3", "010", "12", "null", "", "1:30", "2024-01-01", "a: b", "<<"])
def test_written_text_is_text_for_every_yaml_reader(text: str) -> None:
    assert yaml.safe_load(to_yaml({"key": text})) == {"key": text}
