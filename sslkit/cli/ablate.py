"""``sslkit ablate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslkit.cli.words import Words, add_plugin_flags
from sslkit.errors import UserError

if TYPE_CHECKING:
    from sslkit.ablation.grid import Grid

_EPILOG = """examples:
  sslkit ablate --recipe quickstart --axis teacher=ema,frozen_epoch,student_copy --axis head.use_bn=false,true --seeds 3
  sslkit ablate --recipe ablations/teacher --jobs 2    # a grid that ships: four teacher rules, three seeds
  sslkit ablate --recipe grid.yaml                 # a file with axes of named overrides; see docs/ablate.md
  sslkit ablate --recipe grid.yaml --dry-run       # checks every cell, and lists them
"""


def run(argv: Sequence[str]) -> int:
    """Run a grid of recipes, and write what it found."""
    args = _words().parse(argv)
    grid = _grid(args)
    from sslkit.ablation.layout import Layout
    from sslkit.ablation.plan import plan
    from sslkit.ablation.run_grid import run_grid
    from sslkit.plugins.manager import load_registry

    members = plan(grid, load_registry(tuple(args.plugin), args.no_plugins))
    layout = Layout(args.out or Path("ablations") / Path(args.recipe).stem)
    if args.dry_run:
        for member in members:
            print(f"{member.cell.name}  seed {member.seed}  {layout.status(member.folder)[0]}")
        print(f"{len(members)} runs of {len(grid.cells)} cells, in {layout.path}")
        return 0
    flags = [word for file in args.plugin for word in ("--plugin", str(file.absolute()))]
    flags += [word for name in args.no_plugins for word in ("--no-plugins", name)]
    frame = run_grid(grid, members, layout, jobs=args.jobs, flags=flags, limit=args.limit, retry=args.retry)
    lost = frame[frame["status"] != "finished"].drop_duplicates(["cell", "seed"])
    print((layout.path / "table.md").read_text("utf-8"), end="")
    print(f"{len(members) - len(lost)} of {len(members)} runs finished; results.csv and table.md lie in {layout.path}")
    return 1 if len(lost) else 0


def _grid(args: argparse.Namespace) -> Grid:
    from sslkit.ablation.grid import Grid, cells_of, seeds_of
    from sslkit.ablation.read import axes_from_words, is_grid, read_grid
    from sslkit.recipe.find import shipped_grid

    path = shipped_grid(args.recipe) or Path(args.recipe)
    if path.is_file() and is_grid(path):
        if args.axis or args.seeds is not None or args.metric:
            raise UserError(
                f"{path} is a grid: its axes, seeds and metrics stand there; leave --axis, --seeds, --metric out"
            )
        return read_grid(path)
    if not args.axis:
        raise UserError(
            f"sslkit ablate: {args.recipe} is a recipe: add --axis KEY=VALUE,VALUE, or name a file with axes"
        )
    return Grid(args.recipe, cells_of(axes_from_words(args.axis)), seeds_of(args.seeds or 1), tuple(args.metric))


def _words() -> Words:
    words = Words("ablate", "Compare recipes that differ on named axes, over paired seeds.", _EPILOG)
    words.usage = "sslkit ablate --recipe FILE_OR_NAME [--axis KEY=VALUE,VALUE ...] [flags]"
    add = words.add_argument
    add("--recipe", required=True, metavar="FILE_OR_NAME", help="a grid, or a recipe that --axis changes")
    add("--axis", action="append", default=[], metavar="KEY=VALUE,...", help="values of one key of the recipe")
    add("--seeds", type=_positive, metavar="N", help="runs a cell, with seeds 0 to N-1 (default: 1)")
    add("--metric", action="append", default=[], metavar="NAME", help="such as teacher/knn/k20_top1 (default: all)")
    add("--out", type=Path, metavar="DIR", help="the ablation's folder (default: ablations/RECIPE)")
    add("--jobs", type=_positive, default=1, metavar="N", help="runs side by side")
    add("--limit", type=float, metavar="MINUTES", help="a run that takes longer has failed")
    add("--retry", action="store_true", help="also runs that failed before")
    add("--dry-run", action="store_true", dest="dry_run", help="check and list the cells, and stop")
    add_plugin_flags(words)
    return words


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)
