"""Recipes that hypothesis breaks: a recipe or one sentence; a misspelt key is told with file, line and nearest name."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings

from faults.suite import Suite
from forked import fork, sslkit_main, wait
from sslkit.recipe.load import load_recipe
from test_recipe_fuzz import PARTS, mutated, outcome, paths
from tiny_run import TINY

#: Recipes of a case.
_EACH = 100


def generated(number: int, folder: Path) -> None:
    """So many mutated recipes, in this process."""

    @seed(number)
    @settings(
        max_examples=_EACH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated())
    def check(recipe: dict[str, Any]) -> None:
        resolved = outcome(recipe, [])
        if resolved is not None:
            assert dict(load_recipe(resolved, (), PARTS).resolved) == resolved

    check()


def typed(number: int, folder: Path) -> None:
    """One key of a file misspelt, through the command line."""
    draw = random.Random(number)
    places = [path for path in paths(TINY) if path and path[0] != "evaluate"]
    *outer, key = draw.choice(places)
    place = draw.randrange(len(key))
    wrong = key[:place] + draw.choice("qxz") + key[place:]
    text = yaml.safe_dump(TINY, sort_keys=False)
    lines = text.splitlines()
    rows = (row for row, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    row = next(row for row in rows if _inside(lines, row, outer))
    lines[row] = lines[row].replace(f"{key}:", f"{wrong}:", 1)
    folder.mkdir(parents=True)
    file, log = folder / "typed.yaml", folder / "log.txt"
    file.write_text("\n".join(lines) + "\n")
    code = wait(fork(sslkit_main("fit", "--recipe", str(file), "--out", str(folder / "run")), log))
    said = log.read_text()
    assert code == 2, (code, said)
    assert "Traceback" not in said, said
    assert f"typed.yaml:{row + 1}:" in said.replace("\n", ""), (said, row + 1)
    assert wrong in said, said
    assert not (folder / "run").exists()


def _inside(lines: list[str], row: int, outer: list[str]) -> bool:
    """Whether the line's section is the one of the path."""
    depth = (len(lines[row]) - len(lines[row].lstrip())) // 2
    if depth != len(outer):
        return False
    above = [line for line in lines[: row + 1] if line and not line.startswith(" ")]
    return not outer or above[-1].startswith(f"{outer[0]}:")


def case(number: int, folder: Path) -> None:
    """Even: a hundred recipes in this process; odd: one file through the command line."""
    (generated if number % 2 == 0 else typed)(number // 2, folder)


SUITE = Suite(
    "recipes", "10,000 mutated recipes: one sentence or a recipe; 100 files with a misspelt key: its line", 200, 4, case
)
