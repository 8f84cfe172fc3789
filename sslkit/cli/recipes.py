"""``sslkit recipes list|show``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.words import Words, check_action
from sslkit.errors import UserError, nearest
from sslkit.recipe.find import list_grids, list_recipes

_EPILOG = """examples:
  sslkit recipes list
  sslkit recipes show quickstart > mine.yaml
"""


def run(argv: Sequence[str]) -> int:
    """List the shipped recipes and grids, or print one."""
    words = Words("recipes", "The recipes and grids that ship with sslkit.", _EPILOG)
    words.add_argument("action", metavar="list|show")
    words.add_argument("name", nargs="?", metavar="NAME", help="for show: a name of the list")
    args = words.parse(argv)
    check_action(args.action)
    grids = list_grids()
    recipes = {recipe.name: recipe for recipe in [*list_recipes(), *grids]}
    if args.action == "list":
        width = max(map(len, recipes), default=0)
        for name, recipe in recipes.items():
            if grids and recipe is grids[0]:
                print("\ngrids, for sslkit ablate:")
            print(f"{name:{width}}  {recipe.comment.partition(chr(10))[0]}")
        return 0
    if args.name is None:
        raise UserError(f"name a recipe to show; {nearest('', recipes)}")
    name = args.name.removesuffix(".yaml")
    if name not in recipes:
        raise UserError(f"there is no shipped recipe {args.name!r}; {nearest(name, recipes)}")
    print(recipes[name].path.read_text("utf-8"), end="")
    return 0
