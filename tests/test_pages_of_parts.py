"""docs/contracts.md tells every rule of the kit, and docs/methods.md the table that the benchmark wrote."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from sslkit.parts.kinds import KINDS
from sslkit.recipe.find import list_recipes
from sslkit.testing.conformance import _RULES
from sslkit.testing.rules import any_kind
from sslkit.testing.rules.loss_ranks import TwoRanks

DOCS = Path(__file__).parents[1] / "docs"
CONTRACTS, METHODS = ((DOCS / name).read_text() for name in ("contracts.md", "methods.md"))


def section(kind: str) -> str:
    return CONTRACTS.split(f"\n## {kind}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_a_kind_is_on_its_screen(kind: str) -> None:
    rules = {rule.__name__: rule for rule in _RULES[kind]} | ({"two_ranks": TwoRanks.rule} if kind == "loss" else {})
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section(kind), re.MULTILINE))
    said = {name: " ".join((inspect.getdoc(rule) or "").split("\n\n")[0].split()) for name, rule in rules.items()}
    assert rows == {name: text.replace("``", "`") for name, text in said.items()}
    assert KINDS[kind].contract.rpartition(":")[2] in section(kind)
    for name in KINDS[kind].context:
        assert f"`{name}`" in section(kind)


def test_rules_of_every_kind() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("Every kind"), re.MULTILINE)
    assert rows == [rule.__name__ for rule in any_kind.RULES]


def test_the_table_of_methods_is_the_one_that_was_measured() -> None:
    page = (DOCS / "benchmarks/methods.md").read_text()
    table = page[page.index("|  | k-NN") :].strip()
    assert table in METHODS
    measured = json.loads((DOCS / "benchmarks/methods.json").read_text())["methods"]
    assert all(len(seeds) == 3 for seeds in measured.values())
    assert set(re.findall(r"^\| (\w+) \| \d", table, re.MULTILINE)) == set(measured)


def test_every_recipe_and_part_that_the_page_of_methods_names_exists() -> None:
    known = {recipe.name for recipe in list_recipes()}
    named = set(re.findall(r"`(\w+_(?:resnet50|vits16))`", METHODS))
    assert named <= known
    published = {
        name for name in known if name.endswith(("_resnet50", "_vits16")) and not name.startswith("dino_resnet")
    }
    assert published <= named
