"""``sslkit fit``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shlex import quote

from sslkit.cli.words import Words, add_plugin_flags
from sslkit.errors import UserError
from sslkit.launcher import launched
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides
from sslkit.recipe.schema import BASE, SECTIONS, Shape

_EPILOG = """sections of a recipe, and what each holds:
{sections}

overrides: any key of the recipe, wherever it stands in the line
  --head.use_bn true             one option
  --teacher frozen_epoch         another part; the old one's options are dropped
  --teacher null                 no part, where one is optional
  --optimizer.lr.start 0.001     one argument of a schedule
  --evaluate.knn.k '[10, 20]'    an option of one of several parts, by its id
  --watch.tensorboard null       removes an entry
  values are YAML; `sslkit plugins show backbone vit` lists the options of a part

example:
  sslkit fit --recipe quickstart --data image_folder --data.root photos --train.epochs 20
"""


def run(argv: Sequence[str]) -> int:
    """Train from a recipe, or print it resolved."""
    words = _words()
    rest, overrides = split_overrides(argv, words.flags)
    if rest and not rest[0].startswith("-") and "--recipe" not in rest:
        raise UserError(f"sslkit fit: the recipe needs its flag: --recipe {quote(rest[0])}")
    args = words.parse(rest)
    # here and not above: --help needs none of it
    from sslkit.plugins.manager import load_registry
    from sslkit.recipe.dump import to_yaml
    from sslkit.recipe.load import load_recipe

    registry = load_registry(tuple(args.plugin), args.no_plugins)
    recipe = load_recipe(args.recipe, overrides, registry)
    if launched().rank == 0:  # under torchrun, the first process speaks for all
        for note in [*recipe.notes, *registry.complaints()]:
            print(f"note: {note}", file=sys.stderr)
    if args.print_config:
        print(to_yaml(recipe.resolved), end="")
        return 0
    from sslkit.report.training import fit_recipe

    fit_recipe(recipe, args.out, args.fresh, registry, args.extend)
    return 0


def _words() -> Words:
    words = Words("fit", "Train from a recipe.", _EPILOG.format(sections=_sections()))
    words.sections = tuple(SECTIONS)
    words.usage = "sslkit fit --recipe FILE_OR_NAME [flags] [overrides]"
    add = words.add_argument
    add("--recipe", required=True, metavar="FILE_OR_NAME", help="a YAML file, or a name from `sslkit recipes list`")
    add("--out", type=home_path, metavar="DIR", help="the run folder (default: runs/RECIPE)")
    add("--fresh", action="store_true", help="start anew; an older run in the folder is moved aside")
    add("--extend", action="store_true", help="go on with another train.epochs than the run in the folder has")
    add_plugin_flags(words)
    add("--print_config", action="store_true", help="print the recipe with every default, and stop")
    return words


def _sections() -> str:
    lines = [f"  base          {BASE}"]
    for section in SECTIONS.values():
        forms = {Shape.PART: section.kind, Shape.PARTS: f"{section.kind} by id"}
        form = f" [{forms[section.shape]}]" if section.shape in forms else ""
        lines.append(f"  {section.name:13} {section.summary}{form}")
    return "\n".join(lines)
