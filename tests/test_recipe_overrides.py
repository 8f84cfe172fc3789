from __future__ import annotations

import pytest

from sslkit.errors import UserError
from sslkit.recipe.overrides import Override, override_layers, split_overrides

FLAGS = ("--recipe", "--out", "--fresh")


def test_overrides_are_taken_out_wherever_they_stand() -> None:
    rest, overrides = split_overrides(
        ["--head.use_bn", "true", "--recipe", "r.yaml", "--optimizer.lr=-1", "run", "--fresh", "--seed", "-3"], FLAGS
    )
    assert rest == ["--recipe", "r.yaml", "run", "--fresh"]
    assert [(override.key, override.value) for override in overrides] == [
        ("head.use_bn", "true"),
        ("optimizer.lr", "-1"),
        ("seed", "-3"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--head.use_bn"], "--head.use_bn: it needs a value, as in `--head.use_bn VALUE`"),
        (["--head.use_bn", "--seed", "1"], "--head.use_bn: it needs a value"),
        (["--recpie", "x"], "--recpie: there is no such flag or section; did you mean '--recipe'?"),
        (["--haed.use_bn", "1"], "--haed.use_bn: there is no such flag or section; did you mean '--head.use_bn'?"),
        (["--epochs", "3"], "--epochs: there is no such flag or section; did you mean '--train.epochs'?"),
        (["--lr=3"], "--lr: there is no such flag or section; did you mean '--optimizer.lr'?"),
        (["--predicter.out_dim=3"], "--predicter.out_dim: there is no such flag or section; did you mean '--predictor"),
        (["--xyzzy=1"], "--xyzzy: there is no such flag or section; known: --"),
    ],
)
def test_what_is_neither_flag_nor_override_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        split_overrides(words, FLAGS)
    assert str(caught.value).startswith(f"command line: {message}")


def test_shorter_keys_come_first_and_the_last_of_equals_wins() -> None:
    given = [Override("a.b.c", 1), Override("a.name", 2), Override("a", 3), Override("a.b", 4), Override("a", 5)]
    layers = override_layers(given)
    assert [layer.data for layer in layers] == [
        {"a": {"name": 2}}, {"a": 3}, {"a": 5}, {"a": {"b": 4}}, {"a": {"b": {"c": 1}}}
    ]  # fmt: skip
