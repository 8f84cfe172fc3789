"""``sslkit recipes list|show|keys``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sslkit.cli.words import Words, add_plugin_flags, check_action
from sslkit.errors import UserError, nearest
from sslkit.recipe.find import Shipped, list_grids, list_recipes
from sslkit.recipe.schema import SECTIONS

_EPILOG = """examples:
  sslkit recipes list
  sslkit recipes list fashion                  # those with this in their name
  sslkit recipes show quickstart > mine.yaml
  sslkit recipes keys                          # every key of every section: type, default, what it does
  sslkit recipes keys train
  sslkit recipes keys train.precision
"""


def run(argv: Sequence[str]) -> int:
    """List the shipped recipes and grids, print one, or document the keys that recipes have."""
    words = Words("recipes", "The recipes and grids that ship with sslkit, and the keys that recipes have.", _EPILOG)
    words.usage = "sslkit recipes list [PART_OF_A_NAME] | show NAME | keys [SECTION | SECTION.KEY]"
    words.add_argument("action", metavar="list|show|keys")
    words.add_argument("name", nargs="?", metavar="NAME", help="show: of a recipe; list: a part of it; keys: a section")
    add_plugin_flags(words)
    args = words.parse(argv)
    check_action(args.action, ("list", "show", "keys"), _complete(args.action))
    if args.action == "keys":
        from sslkit.cli.describe_section import describe_key
        from sslkit.plugins.manager import load_registry

        print(describe_key(args.name, load_registry(tuple(args.plugin), args.no_plugins)))
    elif args.action == "list":
        _list(args.name)
    else:
        _show(args.name)
    return 0


def _complete(word: str) -> str:
    """The command that takes a word which stands where the action belongs."""
    if word in {shipped.name for shipped in [*list_recipes(), *list_grids()]}:
        return "sslkit recipes show"
    return "sslkit recipes keys" if word.partition(".")[0] in SECTIONS else ""


def _list(part: str | None) -> None:
    recipes, grids = _containing(list_recipes(), part), _containing(list_grids(), part)
    if part is not None and not recipes and not grids:
        names = [shipped.name for shipped in [*list_recipes(), *list_grids()]]
        known = {word for name in names for word in (name, *re.split("[/_]", name))}
        raise UserError(f"there is no recipe with {part!r} in its name; {nearest(part, known)}")
    width = max(len(shipped.name) for shipped in [*recipes, *grids, *list_recipes()])
    for title, group in (("", recipes), ("grids, for sslkit ablate:", grids)):
        if title and group:
            print(f"\n{title}" if recipes else title)
        for shipped in group:
            print(f"{shipped.name:{width}}  {shipped.comment.partition(chr(10))[0]}")


def _containing(shipped: Sequence[Shipped], part: str | None) -> list[Shipped]:
    wanted = _bare(part or "")
    return [one for one in shipped if wanted in _bare(one.name)]


def _bare(name: str) -> str:
    return name.lower().replace("-", "_").removesuffix(".yaml").strip("*")


def _show(name: str | None) -> None:
    recipes = {shipped.name: shipped for shipped in [*list_recipes(), *list_grids()]}
    if name is None:
        raise UserError(f"name a recipe to show; {nearest('', recipes)}")
    found = recipes.get(name.removesuffix(".yaml"))
    if found is None:
        raise UserError(f"there is no shipped recipe {name!r}; {nearest(name.removesuffix('.yaml'), recipes)}")
    print(found.path.read_text("utf-8"), end="")
