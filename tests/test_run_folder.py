"""Whose a run folder is, and what may happen to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from sslkit.engine.run_folder import RunFolder
from sslkit.errors import UserError
from sslkit.plugins.manager import load_registry
from sslkit.recipe.continuing import Kind, changes_between
from sslkit.recipe.load import completed, load_recipe
from tiny_run import TINY

RECIPE = {"seed": 0, "train": {"epochs": 3, "workers": None}, "head": {"name": "x", "out_dim": 4}}


def opened(path: Path, recipe: dict[str, object] = RECIPE, fresh: bool = False) -> RunFolder:
    folder = RunFolder(path)
    folder.open(recipe, fresh)
    return folder


def test_an_option_that_has_come_since_is_no_other_recipe(tmp_path: Path) -> None:
    registry = load_registry()
    resolved = dict(load_recipe(TINY, (), registry).resolved)
    before = {**resolved, "augment": {k: v for k, v in resolved["augment"].items() if k != "noise"}}
    opened(tmp_path / "run", before).close()
    (tmp_path / "run/checkpoints/step-00000001").mkdir(parents=True)
    with pytest.raises(UserError, match="augment.noise: absent there, 0.0 now"):
        RunFolder(tmp_path / "run").open(resolved, False)
    RunFolder(tmp_path / "run").open(resolved, False, partial(completed, registry=registry))
    other = {**resolved, "augment": {**resolved["augment"], "noise": 0.5}}
    opened(tmp_path / "other", before).close()
    (tmp_path / "other/checkpoints/step-00000001").mkdir(parents=True)
    with pytest.raises(UserError, match="augment.noise: 0.0 there, 0.5 now"):
        RunFolder(tmp_path / "other").open(other, False, partial(completed, registry=registry))


def test_two_processes_cannot_have_one_folder_and_fresh_does_not_pull_it_away(tmp_path: Path) -> None:
    first = opened(tmp_path / "run")
    for fresh in (False, True):
        with pytest.raises(UserError, match=f"process {os.getpid()} on .* is training there"):
            opened(tmp_path / "run", fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    first.close()
    opened(tmp_path / "run").close()


def test_the_loader_processes_of_a_killed_run_do_not_keep_its_folder(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from sslkit.engine.run_folder import RunFolder\n"
        "folder = RunFolder(Path(sys.argv[1]))\n"
        "folder.open({'seed': 0}, False)\n"
        "if os.fork() == 0:\n"
        "    time.sleep(2)\n"
        "    os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    opened(tmp_path / "run", {"seed": 0}).close()


def test_fresh_moves_a_run_aside_and_numbers_it(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        opened(tmp_path / "run", {**RECIPE, "seed": seed}, fresh=True).close()
    seeds = {path.name: yaml.safe_load((path / "recipe.yaml").read_text())["seed"] for path in tmp_path.iterdir()}
    assert seeds == {"run.old-1": 0, "run.old-2": 1, "run": 2}


def test_fresh_moves_nothing_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds 'thesis\.tex' and is no run"):
        opened(tmp_path / "thesis", fresh=True)
    assert (tmp_path / "thesis" / "thesis.tex").is_file()


def test_fresh_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.tex").write_text("mine")
    for path in (Path(), Path("/")):
        with pytest.raises(UserError):
            opened(path, fresh=True)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot be written: File exists"):
        opened(tmp_path / "run")


@pytest.mark.parametrize("text", [b"- a\n- list\n", b"a: [", b"\xff\xfe\x00"])
def test_a_recipe_that_cannot_be_read(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "recipe.yaml").write_bytes(text)
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    with pytest.raises(UserError, match=r"recipe\.yaml .*--fresh"):
        opened(tmp_path)


def test_a_first_try_that_trained_nothing_does_not_stand_in_the_way(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    opened(tmp_path / "run", {**RECIPE, "seed": 1}).close()
    (tmp_path / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)
    with pytest.raises(UserError, match=r"another recipe \(seed: 1 there, 2 now\)"):
        opened(tmp_path / "run", {**RECIPE, "seed": 2})


@pytest.mark.parametrize("left", ["summary.json", "checkpoints/.step-00000001.replaced"])
def test_what_was_trained_is_never_taken_for_another_recipes(tmp_path: Path, left: str) -> None:
    opened(tmp_path / "run").close()
    (tmp_path / "run" / left).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / left).write_text("{}")
    with pytest.raises(UserError, match=r"another recipe \(seed: 0 there, 2 now\)"):
        opened(tmp_path / "run", {**RECIPE, "seed": 2})


def test_a_kill_before_the_first_recipe_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".recipe.yaml.123").write_text("se")
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "recipe.yaml"]
    (tmp_path / ".recipe.yaml.bak").write_text("mine")
    opened(tmp_path).close()
    assert (tmp_path / ".recipe.yaml.bak").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"loss": 1.0}'])
def test_a_summary_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match=r"summary\.json is no summary; delete it"):
        RunFolder(tmp_path).summary()


def test_keys_that_differ_and_keys_that_may() -> None:
    now = {"seed": 1, "train": {"epochs": 3, "workers": 4}, "head": {"name": "x", "out_dim": 4, "new": True}}
    now |= {"data": {"name": "y", "root": "moved"}, "evaluate": {}, "watch": {"csv": {}}}
    was = {**RECIPE, "data": {"name": "y", "root": "there"}, "evaluate": {"knn": {"k": [1]}}}
    assert changes_between(was, now).of(Kind.OTHER) == {"seed": (0, 1), "head.new": ("absent", True)}
