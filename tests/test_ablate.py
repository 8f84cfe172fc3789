"""Ablations: grids, plans and statistics; see test_ablate_runs.py for real runs."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from sslkit.ablation.earlier import refuse_other
from sslkit.ablation.grid import Grid, axis_of, cells_of, seeds_of
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member, plan
from sslkit.ablation.read import axes_from_words, read_grid
from sslkit.ablation.statistics import paired_difference
from sslkit.ablation.table import metrics_of, table
from sslkit.cli.ablate import run as run_command
from sslkit.errors import UserError
from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import Shipped, list_grids
from sslkit.recipe.load import completed, load_recipe
from sslkit.recipe.overrides import Override
from tiny_grid import SHORT

AXES = {"a": axis_of("a", [1, 2, 3]), "b": axis_of("b", {"no": None, "yes": {"head.use_bn": True}})}


def names(*args: object, **kwargs: object) -> list[str]:
    return [cell.name for cell in cells_of(*args, **kwargs)]  # type: ignore[arg-type]


def test_a_grid_has_every_combination_and_begins_with_the_baseline() -> None:
    assert names(AXES) == ["a=1 b=no", "a=1 b=yes", "a=2 b=no", "a=2 b=yes", "a=3 b=no", "a=3 b=yes"]
    assert names(AXES, "grid", {"a": "2", "b": "yes"})[0] == "a=2 b=yes"
    assert len(set(names(AXES, "grid", {"a": "2"}))) == 6


def test_one_at_a_time_and_lists() -> None:
    assert names(AXES, "one_at_a_time", {"a": "2"}) == ["a=2 b=no", "a=1 b=no", "a=3 b=no", "a=2 b=yes"]
    assert names(AXES, [{"a": "3"}, {"a": "2", "b": "yes"}]) == ["a=1 b=no", "a=3 b=no", "a=2 b=yes"]


def test_words_of_the_command_line() -> None:
    axes = axes_from_words(["teacher=ema,frozen_epoch", "optimizer.lr={cosine: [0.1, 0]},0.5"])
    assert {axis: list(choices) for axis, choices in axes.items()} == {
        "teacher": ["ema", "frozen_epoch"], "optimizer.lr": ["{cosine: [0.1, 0]}", "0.5"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: cells_of({}), "axes: there is none"),
        (lambda: cells_of({"a": {}}), "axes.a: it has no choices"),
        (lambda: cells_of(AXES, "grids"), "did you mean 'grid'?"),
        (lambda: cells_of(AXES, "grid", {"c": "1"}), "baseline: there is no axis 'c'"),
        (lambda: cells_of(AXES, [{"a": "9"}]), r"design\[0\]: the axis 'a' has no choice '9'"),
        (lambda: cells_of(AXES, [{"a": "2"}, {"a": "2"}]), "is given twice"),
        (lambda: axis_of("a", [1, 1]), "axes.a: a value is given twice"),
        (lambda: axis_of("a", {"x": 3}), "axes.a.x: 3 is no mapping of overrides"),
        (lambda: axis_of("a", "ema"), "axes.a: 'ema' is neither a list"),
        (lambda: seeds_of([1, 1]), "seeds: "),
        (lambda: seeds_of(0), "seeds: 0 must be a number of 1 or more"),
        (lambda: axes_from_words(["teacher"]), "write KEY=VALUE,VALUE"),
        (lambda: axes_from_words(["a=1,1"]), "a value is given twice"),
        (lambda: axes_from_words(["a=1", "a=2"]), "--axis a: it is given twice"),
    ],
)
def test_mistakes_are_one_sentence(make, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def test_every_cell_is_checked_before_the_first_runs(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = yaml.safe_dump({"recipe": "quickstart", "axes": {"bn": {"on": {}, "off": {"head.use_bnn": False}}}})
    file.write_text(text)
    with pytest.raises(UserError, match="cell 'bn=off': .*did you mean 'use_bn'?"):
        plan(read_grid(file), load_registry())
    file.write_text(text + "metric: [x]\n")
    with pytest.raises(UserError, match=r"grid.yaml:\d+: metric: a grid has no such key; did you mean 'metrics'?"):
        read_grid(file)
    file.write_text("recipe: quickstart\naxes:\n  teacher: [ema]\nseeds: [1, 1]\n")
    with pytest.raises(UserError, match="grid.yaml:4: seeds: "):
        read_grid(file)
    file.write_text("recipe: quickstart\naxes:\n  teacher: [ema]\nmetrics: [teacher/knnn/k20_top1]\n")
    with pytest.raises(UserError, match="cell 'teacher=ema': metrics: .*did you mean 'teacher/knn'?"):
        plan(read_grid(file), load_registry())


def test_cells_that_are_equal_in_everything_share_a_run() -> None:
    axes = {"head": axis_of("head", {"default": None, "no bn": {"head.use_bn": False}})}
    members = plan(Grid(SHORT, cells_of(axes), (0, 1)), load_registry())
    assert [member.folder for member in members] == [
        "head=default_seed=0", "head=default_seed=1", "head=default_seed=0", "head=default_seed=1",
    ]  # fmt: skip
    assert [member.resolved["seed"] for member in members] == [0, 1, 0, 1]


def test_differences_are_those_of_a_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    base, cell = (dict(enumerate(draw.normal(50, 2, 6))) for _ in range(2))
    found = paired_difference(cell, base)
    wanted = stats.ttest_rel(list(cell.values()), list(base.values())).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(np.mean(list(cell.values())) - np.mean(list(base.values())))
    assert not found.separated
    assert paired_difference({0: 9.0, 1: 9.1, 2: 8.9}, {0: 1.0, 1: 1.1, 2: 1.0}).separated
    alone = paired_difference({0: 3.0, 5: 1.0}, {0: 1.0})
    assert (alone.mean, alone.pairs) == (2.0, 1)
    assert math.isnan(alone.low)
    assert not alone.separated
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def rows_of(values: dict[str, list[float]], metric: str = "m") -> pd.DataFrame:
    return pd.DataFrame(
        {"cell": cell, "seed": seed, "status": "finished", "reason": "", "metric": metric, "value": value}
        for cell, of in values.items() for seed, value in enumerate(of)
    )  # fmt: skip


def test_a_table_marks_chance_and_what_is_separated() -> None:
    cells = cells_of({"a": axis_of("a", [1, 2, 3])})
    values = {"a=1": [50.0, 51.0, 52.0], "a=2": [60.0, 61.5, 62.0], "a=3": [49.0, 53.0, 52.0]}
    text = table(Grid("quickstart", cells, (0, 1, 2), ("m",)), rows_of(values))
    assert "| a=1 | 51.00 | 1.00 | 3 |  |  |  |" in text
    assert "| a=2 | **61.17** | 1.04 | 3 | +10.17 | 9.45 to 10.88 |  |" in text
    (chance,) = [line for line in text.splitlines() if line.startswith("| a=3")]
    assert chance.endswith("| ~ |")


def test_without_an_interval_nothing_is_called_noise() -> None:
    cells = cells_of({"a": axis_of("a", [1, 2])})
    text = table(Grid("quickstart", cells, (0,), ("m",)), rows_of({"a=1": [4.0], "a=2": [9.0]}))
    assert "| a=2 | 9.00 | - | 1 | +5.00 | - |  |" in text


def test_the_best_cell_is_bold_only_if_it_is_separated_from_every_other_one() -> None:
    cells = cells_of({"a": axis_of("a", [1, 2, 3])})
    values = {"a=1": [50.0, 51.0, 52.0], "a=2": [60.0, 61.5, 62.0], "a=3": [60.5, 61.0, 61.9]}
    assert "**" not in table(Grid("quickstart", cells, (0, 1, 2)), rows_of(values))
    values["a=1"] = [70.0, 71.6, 72.0]
    assert "| a=1 | **71.20** |" in table(Grid("quickstart", cells, (0, 1, 2)), rows_of(values))


def test_without_names_tables_have_each_evaluator_s_first_number() -> None:
    grid = Grid("quickstart", cells_of({"a": axis_of("a", [1])}), (0,))
    names = ["student/knn/k20_top1", "student/knn/k20_top5", "teacher/knn/k20_top1", "teacher/knn_b/k5_top1"]
    frame = pd.concat([rows_of({"a=1": [1.0]}, name) for name in names])
    assert metrics_of(grid, frame) == [names[0], names[2], names[3]]


def test_a_cell_is_told_by_what_differs_from_the_baseline() -> None:
    base, *others = cells_of(AXES, "one_at_a_time", {"a": "2"})
    assert [cell.beside(base) for cell in (base, *others)] == ["a=2 b=no", "a=1", "a=3", "b=yes"]


def test_what_a_part_refuses_is_told_before_the_first_run_too() -> None:
    cells = cells_of({"head.layers": axis_of("head.layers", [3, 0])})
    with pytest.raises(UserError, match="cell 'head.layers=0': .*layers is 0: it must be 1 or more"):
        plan(Grid(SHORT, cells, (0,)), load_registry())
    cells = cells_of({"train.batch_size": axis_of("train.batch_size", [64, 5000])})
    with pytest.raises(UserError, match="cell 'train.batch_size=5000': .*more than the 1437 images"):
        plan(Grid(SHORT, cells, (0,)), load_registry())


def test_what_runs_warned_of_is_told_once_a_warning_with_its_seeds(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    layout.run("r").mkdir()
    (layout.run("r") / "log.txt").write_text(
        "2026-01-01 10:00:00 INFO training\n"
        "2026-01-01 10:00:01 WARNING collapse: the teacher is uniform since step 5 (KL 0.0): mend it. WARNING twice\n"
        "2026-01-01 10:00:09 WARNING collapse: the teacher is uniform since step 5 (KL 0.0): again, after a kill\n"
    )
    assert layout.told("r") == "collapse: the teacher is uniform since step 5"
    assert layout.told("not there") == ""
    cells = cells_of({"a": axis_of("a", [1, 2])})
    frame = rows_of({"a=1": [1.0, 2.0], "a=2": [3.0, 4.0]})
    frame.loc[frame["cell"] == "a=2", "reason"] = layout.told("r")
    text = table(Grid("quickstart", cells, (0, 1)), frame)
    assert "## Warnings\n\n- a=2, seed 0, 1: collapse: the teacher is uniform since step 5\n" in text


@pytest.mark.parametrize("shipped", list_grids(), ids=lambda grid: grid.name)
def test_every_cell_of_a_shipped_grid_is_a_recipe(shipped: Shipped) -> None:
    grid, registry = read_grid(shipped.path), load_registry()
    assert f"sslkit ablate --recipe {shipped.name} " in shipped.comment
    for cell in grid.cells:
        recipe = load_recipe(grid.recipe, cell.overrides, registry)
        nets = {f"{net}/{key}" for key, spec in recipe.evaluate.items() for net in spec.when.which}
        assert {metric.rpartition("/")[0] for metric in grid.metrics} <= nets
    if grid.recipe == "quickstart_short":
        assert plan(grid, registry)


def test_a_budget_is_minutes(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = "recipe: quickstart\naxes: {teacher: [ema]}\n"
    file.write_text(text + "budget: 2.5\n")
    assert read_grid(file).budget == 2.5
    file.write_text(text + "budget: soon\n")
    with pytest.raises(UserError, match="grid.yaml:3: budget: 'soon' must be minutes, above 0"):
        read_grid(file)
    file.write_text(text + "metrics: teacher/knn/k20_top1\n")
    with pytest.raises(UserError, match="grid.yaml:3: metrics: .* is no list"):
        read_grid(file)


def test_a_shipped_grid_is_found_by_its_name(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    def run(name: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "sslkit", "ablate", "--recipe", name, "--dry-run"]
        return subprocess.run(words, cwd=tmp_path, env=subprocess_env, capture_output=True, text=True, check=False)

    done = run("ablations/teacher")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("teacher=ema: 5 x 880 steps\n")
    assert "20 runs of 4 cells, 20 to do, in ablations/teacher; how long is known once" in done.stdout
    assert not list(tmp_path.iterdir())
    assert "did you mean 'ablations/teacher'?" in run("ablations/teachers").stderr
    assert "add --axis KEY=VALUE,VALUE" in run("quickstart").stderr


def planned(tmp_path: Path, *overrides: Override) -> list[Member]:
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(SHORT))
    file = tmp_path / "grid.yaml"
    file.write_text("recipe: short.yaml\naxes: {teacher: [ema, student_copy]}\noverrides: {train.epochs: 3}\n")
    return plan(read_grid(file, overrides), load_registry())


def test_overrides_of_every_cell_win_over_those_of_the_file_and_choices_over_both(tmp_path: Path) -> None:
    typed = Override("train.epochs", "2", from_command_line=True)
    members = planned(tmp_path, typed, Override("head.out_dim", 24))
    assert [member.resolved["train"]["epochs"] for member in members] == [2, 2]
    assert {member.resolved["head"]["out_dim"] for member in members} == {24}
    axes = {"length": axis_of("length", {"as it is": None, "long": {"train.epochs": 9}})}
    cells = cells_of(axes, fixed=[Override("train.epochs", 2)])
    assert [load_recipe(SHORT, cell.overrides).train.epochs for cell in cells] == [2, 9]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("teacher", "ema", r"grid.yaml: --teacher: every choice of the axis 'teacher' sets this key"),
        ("seed", "3", r"--seed: every cell runs with all seeds of the ablation"),
        ("train.epocs", "1", r"cell 'teacher=ema': command line: --train.epocs: .*did you mean 'epochs'"),
        ("train.max_steps", "1", r"cell 'teacher=ema': command line: --train.max_steps: 1: .*make runs shorter"),
        ("train.batch_size", "4000", r"cell 'teacher=ema': command line: --train.batch_size: 4000 is more than"),
    ],
)
def test_overrides_of_every_cell_are_checked(key: str, value: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        planned(tmp_path, Override(key, value, from_command_line=True))


def test_an_axis_of_seeds_is_refused() -> None:
    for axis in (axis_of("seed", [1, 2]), axis_of("luck", {"plain": None, "other": {"seed": 3}})):
        with pytest.raises(UserError, match="a choice sets the seed, but every cell runs with all seeds"):
            cells_of({"axis": axis})


def test_a_folder_belongs_to_the_overrides_that_it_was_begun_with(tmp_path: Path) -> None:
    registry = load_registry()
    layout = Layout(tmp_path / "out")
    layout.make()
    begun = {member.folder: member for member in planned(tmp_path, Override("train.precision", "auto"))}
    for name, member in begun.items():
        layout.run(name).mkdir()
        # as its run wrote it, on whatever machine
        run = member.resolved | {"train": member.resolved["train"] | {"precision": "bf16"}}
        (layout.run(name) / "recipe.yaml").write_text(yaml.safe_dump(run))
    refuse_other(layout, begun, partial(completed, registry=registry))
    harmless = (Override("train.rank_timeout", 9.0), Override("train.threads", 2), Override("watch.csv", None))
    now = planned(tmp_path, Override("train.precision", "auto"), *harmless)
    refuse_other(layout, {member.folder: member for member in now}, partial(completed, registry=registry))
    for other in (Override("train.epochs", 2), Override("evaluate.knn.k", [3]), Override("train.precision", "fp32")):
        members = {member.folder: member for member in planned(tmp_path, other)}
        with pytest.raises(UserError, match=rf"\({other.key}: .* there, .* now\).*give the overrides"):
            refuse_other(layout, members, partial(completed, registry=registry))


def test_the_command_says_what_every_cell_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(SHORT))
    words = ["--recipe", "short.yaml", "--axis", "teacher=ema,student_copy", "--train.epochs", "2", "--dry-run"]
    assert run_command(words) == 0
    told = capsys.readouterr().out
    assert "every cell: --train.epochs=2" in told
    assert "teacher=student_copy: 1 x 44 steps" in told
