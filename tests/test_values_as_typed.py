"""Values as people type them: NumPy's and torch's, folders that YAML would read, and the tilde."""

from __future__ import annotations

import enum
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sslkit
from recipe_parts import RECIPE, registry
from sslkit.ablation.grid import axis_of, seeds_of
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.parts import net_weights
from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import find_recipe
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from, split_overrides
from sslkit.recipe.plain_data import plain_data
from tiny_run import TINY, tiny, write


class Rule(enum.Enum):
    EMA = "ema"


class Count(enum.IntEnum):
    THREE = 3


VALUES = [
    (np.int64(8), 8),
    (np.uint8(8), 8),
    (np.float64(1e-3), 0.001),
    (np.float32(1e-3), 0.001),
    (np.float16(0.1), 0.1),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.array([0.4, 1.0]), [0.4, 1.0]),
    (np.array([0.4, 1.0], dtype=np.float32), [0.4, 1.0]),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(5), 5),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([1, None], dtype=object), [1, None]),
    ((np.float32(0.1), (np.int8(2),)), [0.1, [2]]),
    ({"a": np.float32(0.1), np.str_("b"): {"c": np.array([True])}}, {"a": 0.1, "b": {"c": [True]}}),
    (torch.tensor(3), 3),
    (torch.tensor([0.1, 0.2], requires_grad=True), [0.1, 0.2]),
    (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
    (Path("a/b"), "a/b"),
    (Rule.EMA, "ema"),
    (Count.THREE, 3),
    (Decimal("0.1"), 0.1),
    (Fraction(1, 2), 0.5),
    (range(3), [0, 1, 2]),
    (None, None),
]


def same(one: Any, other: Any) -> bool:
    """Equal, and of Python's own types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(type, one)) == list(map(type, other)) and all(same(one[key], other[key]) for key in other)
    return bool(one == other)


@pytest.mark.parametrize(("value", "plain"), VALUES, ids=lambda value: repr(value)[:30])
def test_values_of_numpy_torch_and_the_standard_library_become_plain(value: Any, plain: Any) -> None:
    found = plain_data(value, "here")
    assert same(found, plain), found
    assert same(overrides_from({"head.x": value})[0].value, plain)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, "got set; write a list, as list(value)"),
        (b"x", "got bytes; write text, as value.decode()"),
        (np.datetime64("2020-01-01"), "got datetime64"),
        (np.array([1j]), "got complex128"),
        (object(), "got object"),
        ([{"a": object()}], "here: a: expected numbers"),
        ({1: 2}, "keys are text, but one is 1"),
    ],
)
def test_what_no_recipe_holds_is_refused_in_one_sentence(value: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        plain_data(value, "here")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recipes_and_overrides_of_numpy_are_the_recipe_that_plain_numbers_give() -> None:
    typed = tiny(train={**TINY["train"], "epochs": np.int64(2), "batch_size": np.array(128)})  # type: ignore[dict-item]
    overrides = {"optimizer.lr": {"cosine": np.array([1e-3, 1e-6, 1], dtype=np.float32)}, "head.use_bn": np.bool_(True)}
    assert load_recipe(typed, overrides_from(overrides)).resolved == load_recipe(TINY).resolved


def test_axes_and_seeds_of_an_ablation_may_be_arrays() -> None:
    assert list(axis_of("head.out_dim", np.array([8, 16]))) == ["8", "16"]  # type: ignore[arg-type]
    assert list(axis_of("optimizer.lr", [np.float32(0.1), np.float32(0.2)])) == ["0.1", "0.2"]
    assert seeds_of(np.int64(2)) == (0, 1)  # type: ignore[arg-type]
    assert seeds_of(np.arange(1, 3)) == (1, 2)  # type: ignore[arg-type]


# --- text options take a word as typed ---------------------------------------------------------------------------

WORDS = [
    "[img]", "[a, b]", "{a}", "{1}", "{1: 2}", "a: b", "12: x", "- x", "#x", "a #b", "!tag", "*star", "&a", "&a b",
    "? q", "| x", "> x", "%x", "@x", "`x", "'tis", '"q"', "'q'", "null", "~", "12", "1e3", "yes", "true", " x",
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize("word", WORDS)
def test_a_text_option_takes_the_word_as_typed(word: str, here: Path) -> None:
    for words in ([f"--data.root={word}"], ["--data.root", word]):
        recipe = load_recipe("r.yaml", split_overrides(words, ())[1], registry())
        assert recipe.data.options["root"] == word
    # and the run's own recipe.yaml says the same
    assert load_recipe(recipe.resolved, (), registry()).data.options["root"] == word


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("null", None),
        ("'null'", "null"),
        ("[img]", "[img]"),
        ("a: b", "a: b"),
        ("&a", "&a"),
        ("12", "12"),
        ("x y", "x y"),
    ],
)
def test_where_null_is_a_choice_quotes_say_that_text_is_meant(word: str, title: str | None, here: Path) -> None:
    recipe = load_recipe("r.yaml", split_overrides(["--head.title", word], ())[1], registry())
    assert recipe.head is not None
    assert recipe.head.options["title"] == title


def test_a_run_trains_from_a_folder_that_yaml_would_read(tiny_images: Path, here: Path) -> None:
    for name in ("[img]", "a: b", "- x"):
        (here / name).symlink_to(tiny_images, target_is_directory=True)
        assert (
            main(["data", "check", f"--data.root={name}", "--data", "image_folder", "--recipe", "quickstart"]) == 1
        ), "of its own: a copy"


# --- the tilde ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder; the working directory is another one, which must stay without a folder called ``~``."""
    folder = here / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_a_tilde_is_the_home_folder_and_others_stay_as_typed(home: Path) -> None:
    assert home_path("~/r") == home / "r"
    assert home_path("~") == home
    assert home_path(f"~{os.environ.get('USER', 'root')}/r").is_absolute()
    assert home_path("runs/~x") == Path("runs/~x")
    assert home_path("a/../b") == Path("a/../b")
    with pytest.raises(UserError, match=r"there is no user 'nobody-here'.*write \./~nobody-here/r"):
        home_path("~nobody-here/r")


def test_commands_and_calls_take_a_tilde(home: Path, tiny_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, tiny(train={**TINY["train"], "max_steps": 1, "epochs": 1}, evaluate=None))  # type: ignore[dict-item]
    (home / "mine.py").write_text("import sslkit\n@sslkit.hookimpl\ndef sslkit_register(registry): ...\n")
    (home / "photos").symlink_to(tiny_images, target_is_directory=True)
    for words in (
        ["fit", "--recipe=~/tiny.yaml", "--out=~/r", "--plugin=~/mine.py"],
        ["embed", "~/r", "--out=~/f.npz"],
        ["export", "~/r/checkpoints", "--to", "torch", "--out=~/net.pth"],
        ["export", "~/r", "--to", "torch", "--out=~/net.pth"],
        ["eval", "~/r", "knn", "--out=~/judged"],
        ["eval", "--weights=~/net.pth", "--backbone={name: small_convnet, widths: [8, 16]}", "--preprocess.size", "16",
         "knn", "--data", "digits", "--out=~/judged_file"],
        ["data", "check", "~/photos", "--out=~/checked"],
        ["plugins", "new", "sslkit-mine", "--out=~"],
    ):  # fmt: skip
        # no checkpoint; the test images of the folder are copies of training images
        code = {"~/r/checkpoints": 2, "check": 1}.get(words[1], 0)
        assert main(words) == code, (words, capsys.readouterr().err)
    there = {path.name for path in home.iterdir()}
    assert {"r", "f.npz", "net.pth", "judged", "judged_file", "checked", "sslkit-mine"} <= there
    result = sslkit.fit("~/tiny.yaml", out="~/again", plugins="~/mine.py")
    assert result.folder == home / "again"
    assert sslkit.load_backbone("~/r").embed_dim == 16
    assert net_weights("~/net.pth").backbone
    assert not Path("~").exists()


def test_recipes_bases_and_plugins_begin_with_a_tilde(home: Path) -> None:
    (home / "r.yaml").write_text(RECIPE)
    Path("mine.yaml").write_text("base: ~/r.yaml\nseed: 3\n")
    assert find_recipe("~/r.yaml") == home / "r.yaml"
    assert load_recipe("mine.yaml", (), registry()).seed == 3
    with pytest.raises(UserError, match="home/no.py: there is no such file"):
        load_registry("~/no.py")
