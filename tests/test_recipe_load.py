from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipe_parts import RECIPE, Built, registry
from sslkit.errors import UserError
from sslkit.recipe.dump import to_yaml
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.recipe.overrides import split_overrides
from sslkit.recipe.settings import DEFAULT_PARAM_GROUPS, Train

Load = Callable[..., Recipe]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads text as ``r.yaml``, with command-line words as overrides."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str = RECIPE, *words: str) -> Recipe:
        Path("r.yaml").write_text(text)
        rest, overrides = split_overrides(words, ())
        assert rest == []
        return load_recipe("r.yaml", overrides, registry())

    return loaded


def without(section: str) -> str:
    """The test recipe without a one-line section."""
    return "\n".join(line for line in RECIPE.splitlines() if not line.startswith(f"{section}:"))


def test_a_recipe_is_typed_and_complete(load: Load) -> None:
    recipe = load()
    assert recipe.seed == 3
    assert recipe.source == "r.yaml"
    assert recipe.data.options == {"root": "images", "limit": None, "extensions": ("png", "jpg")}
    assert recipe.augment.options == {"local_crops": 6, "scale": (0.25, 1.0), "sizes": [96]}
    assert recipe.backbone.options == {"depth": 6, "rate": 0.1, "arch": "small"}
    assert recipe.backbone.where == "r.yaml:4 (backbone)"
    assert recipe.head is not None
    assert recipe.head.options == {"out_dim": 512, "use_bn": False, "title": None}
    assert list(recipe.losses) == ["ce"]
    assert recipe.losses["ce"].part.options["temp"] == 0.2
    assert recipe.losses["ce"].weight == 1.0
    assert recipe.train == Train(epochs=5, batch_size=64)
    assert recipe.evaluate["knn"].part.options["k"] == (5,)
    assert recipe.evaluate["knn"].when.every == 2
    assert recipe.evaluate["knn20"].part.name == "knn"
    assert recipe.evaluate["knn20"].when.which == ("teacher", "student")
    assert (recipe.predictor, recipe.clip, recipe.eval_data) == (None, None, None)
    assert list(recipe.watch) == ["progress", "csv", "tensorboard", "collapse"]
    assert recipe.param_groups == DEFAULT_PARAM_GROUPS
    assert recipe.notes == ()


def test_nothing_is_built(load: Load) -> None:
    Built.clear()
    load()
    assert Built == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--teacher", "null", "--clip", "by_norm", "--predictor", "plain", "--eval_data", "toy"),
        ("--watch.csv", "null", "--watch.collapse", "{}", "--param_groups.biases", "null"),
        ("--param_groups.mine", "{match: 'predictor.*', lr: 10}", "--losses.spread.weight", "0.1"),
        ("--data", "toy", "--data.weights", "{a: 1, b: 2.5}", "--optimizer.lr", "0.001", "--watch", "null"),
        ("--data.root", "1e-3", "--head.title", "null", "--evaluate", "null", "--param_groups", "null"),
    ],
)
def test_the_resolved_recipe_reads_back_as_an_equal_one(load: Load, words: tuple[str, ...]) -> None:
    recipe = load(RECIPE, *words)
    again = load(to_yaml(recipe.resolved))
    assert again == recipe
    assert again.resolved == recipe.resolved
    assert list(again.param_groups) == list(recipe.param_groups)
    assert load_recipe(recipe.resolved, (), registry()) == recipe


def test_the_resolved_recipe_is_plain_data_in_the_order_of_sections(load: Load) -> None:
    resolved = load(RECIPE, "--watch.csv", "null").resolved
    order = list(resolved)
    assert order == sorted(order, key=["seed", "data", "eval_data", "preprocess", "augment", "backbone", "head",
                                       "predictor", "teacher", "teacher_backbone", "teacher_head", "losses",
                                       "optimizer",
                                       "clip", "param_groups", "train",
                                       "checkpoint", "evaluate", "watch"].index)  # fmt: skip
    assert resolved["augment"] == {"name": "crops", "local_crops": 6, "scale": [0.25, 1.0], "sizes": [96]}
    assert resolved["teacher"]["momentum"] == {"name": "cosine", "start": 0.99, "end": 1.0, "warmup_epochs": 0.0}
    assert resolved["watch"]["csv"] is None
    assert resolved["clip"] is None

    def check(value: Any) -> None:
        assert value is None or type(value) in (bool, int, float, str, list, dict)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(item)

    check(resolved)


def test_a_string_names_a_part_and_ids_name_themselves(load: Load) -> None:
    recipe = load(RECIPE + "clip: by_norm\nwatch: {collapse: {}, screen: progress}\n")
    assert recipe.clip is not None
    assert recipe.clip.options == {"max_norm": 3.0}
    names = {key: spec.name for key, spec in recipe.watch.items()}
    assert names == {**{key: key for key in ("progress", "csv", "tensorboard", "collapse")}, "screen": "progress"}


def test_another_name_drops_the_old_options_and_says_so(load: Load) -> None:
    recipe = load(RECIPE, "--teacher", "frozen_epoch")
    assert recipe.teacher is not None
    assert recipe.teacher.options == {}
    assert recipe.notes == ("--teacher frozen_epoch replaces ema: its momentum is dropped",)


def test_the_same_name_keeps_the_options(load: Load) -> None:
    recipe = load(RECIPE, "--head", "big", "--head.use_bn", "true")
    assert recipe.head is not None
    assert recipe.head.options == {"out_dim": 512, "use_bn": True, "title": None}
    assert recipe.notes == ()


def test_a_part_is_named_before_its_options_wherever_they_stand(load: Load) -> None:
    for words in (("--data.classes", "3", "--data", "toy"), ("--data.classes", "3", "--data.name", "toy")):
        assert load(RECIPE, *words).data.options["classes"] == 3


def test_command_line_text_is_read_as_its_option_wants_it(load: Load) -> None:
    assert load(RECIPE, "--data.root", "12").data.options["root"] == "12"
    assert load(RECIPE, "--data.root=no").data.options["root"] == "no"
    assert load(RECIPE, "--data.root", "a # b").data.options["root"] == "a # b"
    assert load(RECIPE, "--data.root", "").data.options["root"] == ""
    assert load(RECIPE, "--head.title", "null").head.options["title"] is None  # type: ignore[union-attr]
    assert load(RECIPE, "--train.batch_size", "1e2").train.batch_size == 100
    assert load(RECIPE, "--augment.scale", "[0.1, 1]").augment.options["scale"] == (0.1, 1.0)
    assert load(RECIPE, "--data", "toy", "--data.weights.a", "2").data.options["weights"] == {"a": 2.0}


def test_overrides_from_python_are_taken_as_they_are() -> None:
    from sslkit.recipe.overrides import overrides_from

    source = load_recipe(
        {"data": "toy", "augment": "crops", "backbone": "net", "loss": "ce", "optimizer": "adam"},
        overrides_from({"head": "big", "head.use_bn": True, "augment.scale": (0.5, 1.0), "data.classes": 2}),
        registry(),
    )
    assert source.head is not None
    assert source.head.options["use_bn"] is True
    assert source.augment.options["scale"] == (0.5, 1.0)
    with pytest.raises(UserError, match=r"^overrides: head.use_bn: expected true or false, got 'true'"):
        load_recipe(source.resolved, overrides_from({"head.use_bn": "true"}), registry())
    with pytest.raises(UserError, match=r"^overrides: head.out_dim: expected numbers.* got object"):
        load_recipe(source.resolved, overrides_from({"head.out_dim": object()}), registry())


def test_bases_are_merged_first_and_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/deep.yaml").write_text(RECIPE)
    (tmp_path / "inner/base.yaml").write_text("base: deep.yaml\nhead: {use_bn: true}\nwatch: {csv: null}\n")
    recipe = load("base: inner/base.yaml\nhead: {out_dim: 7}\nteacher: frozen_epoch\n")
    assert recipe.head is not None
    assert recipe.head.options == {"out_dim": 7, "use_bn": True, "title": None}
    assert list(recipe.watch) == ["progress", "tensorboard", "collapse"]
    assert "base" not in recipe.resolved
    assert recipe.notes == ()  # what a file replaces of its base is its author's intention
    (tmp_path / "inner/deep.yaml").write_text(RECIPE.replace("out_dim: 512", "out_dimm: 512"))
    with pytest.raises(UserError, match=r"^inner/deep.yaml:7: head.out_dimm: there is no such option"):
        load("base: inner/base.yaml\n")


def test_bases_that_go_in_a_circle_are_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: r.yaml\n")
    with pytest.raises(UserError, match=r"^a.yaml:1: base: the bases go in a circle: r.yaml -> a.yaml -> r.yaml$"):
        load("seed: 1\nbase: a.yaml\n")
    for i in range(12):
        (tmp_path / f"b{i}.yaml").write_text(f"base: b{i + 1}.yaml\n")
    with pytest.raises(UserError, match="more than 8 bases"):
        load("base: b0.yaml\n")


def test_loss_is_short_for_one_of_losses(load: Load) -> None:
    both = without("loss") + "\nlosses: {ce: {weight: 2}, extra: {name: spread, eps: 1}}\n"
    recipe = load(both)
    assert {key: (spec.part.name, spec.weight) for key, spec in recipe.losses.items()} == {
        "ce": ("ce", 2.0), "extra": ("spread", 1.0),
    }  # fmt: skip
    assert load(RECIPE, "--loss.temp", "0.5").losses["ce"].part.options["temp"] == 0.5
    assert load(RECIPE, "--loss.weight", "0.5").losses["ce"].weight == 0.5
    swapped = load(RECIPE, "--loss", "spread")
    assert list(swapped.losses) == ["spread"]
    assert swapped.notes == ("--loss spread replaces ce: its temp is dropped",)
    alone = load(both, "--loss", "spread")
    assert list(alone.losses) == ["spread"]
    assert alone.notes == ("--loss spread replaces ce and extra",)
    assert list(load(RECIPE, "--losses.ce", "null", "--losses.spread", "{}").losses) == ["spread"]
    with pytest.raises(UserError, match="several losses"):
        load(both, "--loss.temp", "0.5")


def test_the_users_rules_come_before_the_defaults(load: Load) -> None:
    recipe = load(RECIPE + "param_groups: {a: {match: 'x.*'}, biases: {lr: 2}, b: {match: 'y.*', max_ndim: 1}}\n")
    assert list(recipe.param_groups) == ["a", "b", "biases", "one_dimensional"]
    assert recipe.param_groups["biases"].match == "*.bias"
    assert recipe.param_groups["biases"].lr == 2.0
    newest = load(RECIPE + "param_groups: {a: {}, one_dimensional: null}\n", "--param_groups.c.match", "z.*")
    assert list(newest.param_groups) == ["c", "a", "biases"]


def test_a_bare_name_means_a_shipped_recipe_even_beside_a_folder_of_that_name(tmp_path: Path, load: Load) -> None:
    (tmp_path / "quickstart").mkdir()
    assert load_recipe("quickstart", (), None).source == "quickstart"
    (tmp_path / "mine.yaml").write_text("base: quickstart\ntrain: {epochs: 3}\n")
    assert load_recipe("mine.yaml", (), None).train.epochs == 3
