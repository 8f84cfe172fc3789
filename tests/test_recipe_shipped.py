from __future__ import annotations

import pytest

from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import Shipped, list_recipes
from sslkit.recipe.load import load_recipe

SHIPPED = list_recipes()


def test_recipes_are_shipped() -> None:
    assert {"quickstart", "dino_vits16"} <= {recipe.name for recipe in SHIPPED}


@pytest.mark.parametrize("shipped", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_a_shipped_recipe_is_found_by_its_name_and_reads_back(shipped: Shipped) -> None:
    recipe = load_recipe(shipped.name)
    assert load_recipe(f"{shipped.name}.yaml") == recipe
    assert load_recipe(shipped.path) == recipe
    assert load_recipe(recipe.resolved) == recipe
    assert recipe.notes == ()


@pytest.mark.parametrize("shipped", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_a_shipped_recipe_opens_with_its_command(shipped: Shipped) -> None:
    assert "sslkit fit --recipe" in shipped.comment
    assert shipped.comment.splitlines()[0].endswith(".")


def test_no_built_in_plugin_is_broken() -> None:
    assert load_registry().broken == {}
