"""``sslkit ablate``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslkit.cli.words import Words, add_plugin_flags, positive
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides

if TYPE_CHECKING:
    import pandas as pd

    from sslkit.ablation.grid import Grid
    from sslkit.ablation.layout import Layout
    from sslkit.ablation.plan import Member
    from sslkit.recipe.overrides import Override

_EPILOG = """examples:
  sslkit ablate --recipe quickstart --axis teacher=ema,frozen_epoch,student_copy --axis head.use_bn=false,true --seeds 3
  sslkit ablate --recipe ablations/teacher --jobs 2    # a grid that ships: four teacher rules, three seeds
  sslkit ablate --recipe ablations/teacher --train.epochs 4    # every cell with an override, as for `sslkit fit`
  sslkit ablate --recipe grid.yaml                 # a file with axes of named overrides; see docs/ablate.md
  sslkit ablate --recipe grid.yaml --dry-run       # checks every cell, and lists them with what they will take
  sslkit ablate --recipe grid.yaml --executor submitit --submit slurm_partition=gpu --submit gpus_per_node=1
"""


def run(argv: Sequence[str]) -> int:
    """Run a grid of recipes, and write what it found."""
    words = _words()
    rest, overrides = split_overrides(argv, words.flags)
    args = words.parse(rest)
    grid = _grid(args, overrides)
    from sslkit.ablation.choose import executor_of
    from sslkit.ablation.layout import Layout
    from sslkit.ablation.plan import plan
    from sslkit.ablation.run_grid import How, run_grid
    from sslkit.ablation.runner import Limits
    from sslkit.plugins.manager import load_registry

    registry = load_registry(tuple(args.plugin), args.no_plugins)
    members = plan(grid, registry)
    layout = Layout(args.out or Path("ablations") / Path(args.recipe).stem)
    if args.dry_run:
        return _list(grid, members, layout, args.jobs or 1)
    _tell_fixed(grid)
    how = How(
        executor=executor_of(args.executor, args.jobs, _options(args.submit)),
        registry=registry,
        flags=[word for file in args.plugin for word in ("--plugin", str(file.absolute()))]
        + [word for name in args.no_plugins for word in ("--no-plugins", name)],
        limits=Limits(args.limit, args.budget or grid.budget),
        retry=args.retry,
        stale=args.stale,
    )
    frame = run_grid(grid, members, layout, how)
    print((layout.path / "table.md").read_text("utf-8"), end="")
    return _close(frame, layout)


def _list(grid: Grid, members: Sequence[Member], layout: Layout, jobs: int) -> int:
    """The runs of each cell, and what they will take."""
    from sslkit.ablation.display import duration
    from sslkit.ablation.pace import Pace

    _tell_fixed(grid)
    runs = {member.folder: member for member in members}
    pace, total = Pace(layout, runs), 0.0
    for cell in grid.cells:
        own = [member for member in members if member.cell == cell]
        status = [layout.status(member.folder)[0] for member in own]
        one = pace.expected(own[0].folder)
        told = f"{len(own)} x {own[0].steps} steps" + (f", {duration(one)} each" if one else "")
        told += "".join(f", {status.count(kind)} {kind}" for kind in ("finished", "failed") if kind in status)
        print(f"{cell.name}: {told}")
    waiting = [name for name in runs if layout.status(name)[0] == "open"]
    total = pace.left(waiting, {}, jobs) or 0.0
    left = f"about {duration(total)} with --jobs {jobs}" if total else "how long is known once a run has begun"
    print(f"{len(runs)} runs of {len(grid.cells)} cells, {len(waiting)} to do, in {layout.path}; {left}")
    return 0


def _tell_fixed(grid: Grid) -> None:
    """The overrides of every cell, as they would be typed."""
    if grid.fixed:
        print(f"every cell: {shlex.join(f'--{one.key}={one.shown()}' for one in grid.fixed)}")


def _close(frame: pd.DataFrame, layout: Layout) -> int:
    """The closing line; the exit code."""
    runs = frame.drop_duplicates(["cell", "seed"])["status"]
    told = f"{(runs == 'finished').sum()} of {len(runs)} runs finished"
    told += "".join(f", {(runs == kind).sum()} {kind}" for kind in ("failed", "open") if (runs == kind).any())
    print(f"{told}; results.csv, table.md and report.html lie in {layout.path}")
    return 0 if (runs == "finished").all() else 1


def _grid(args: argparse.Namespace, overrides: Sequence[Override]) -> Grid:
    from sslkit.ablation.grid import Grid, cells_of, seeds_of
    from sslkit.ablation.read import axes_from_words, is_grid, read_grid
    from sslkit.recipe.find import shipped_grid

    path = shipped_grid(args.recipe) or home_path(args.recipe)
    if path.is_file() and is_grid(path):
        if args.axis or args.seeds is not None or args.metric:
            raise UserError(
                f"{path} is a grid: its axes, seeds and metrics stand there; leave --axis, --seeds, --metric out"
            )
        return read_grid(path, overrides)
    if not args.axis:
        raise UserError(
            f"sslkit ablate: {args.recipe} is a recipe: add --axis KEY=VALUE,VALUE, or name a file with axes"
        )
    cells = cells_of(axes_from_words(args.axis), fixed=overrides)
    return Grid(args.recipe, cells, seeds_of(args.seeds or 1), tuple(args.metric), fixed=tuple(overrides))


def _words() -> Words:
    words = Words("ablate", "Compare recipes that differ on named axes, over paired seeds.", _EPILOG)
    words.usage = "sslkit ablate --recipe FILE_OR_NAME [--axis KEY=VALUE,VALUE ...] [flags] [overrides of every cell]"
    add = words.add_argument
    add("--recipe", required=True, metavar="FILE_OR_NAME", help="a grid, or a recipe that --axis changes")
    add("--axis", action="append", default=[], metavar="KEY=VALUE,...", help="values of one key of the recipe")
    add("--seeds", type=positive, metavar="N", help="runs a cell, with seeds 0 to N-1 (default: 1)")
    add(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="such as teacher/knn/k20_top1 (default: each evaluator's first)",
    )
    add("--out", type=home_path, metavar="DIR", help="the ablation's folder (default: ablations/RECIPE)")
    add("--jobs", type=positive, metavar="N", help="runs at a time (default: 1; on a cluster as many as it takes)")
    add("--executor", default="local", metavar="NAME", help="local (processes; the default), submitit (SLURM) or ray")
    add("--submit", action="append", default=[], metavar="KEY=VALUE", help="for submitit or ray, as gpus_per_node=1")
    add("--limit", type=_minutes, metavar="MINUTES", help="a run that takes longer has failed")
    add("--budget", type=_minutes, metavar="MINUTES", help="then no run begins, and those that run save and stop")
    add("--retry", action="store_true", help="also runs that failed before")
    add("--stale", action="store_true", help="repeat runs that other versions of sslkit or its plugins made")
    add("--dry-run", action="store_true", dest="dry_run", help="check and list the cells, and stop")
    add_plugin_flags(words)
    return words


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0")
    return minutes


def _options(words: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words, values as YAML reads them."""
    import yaml

    found = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UserError(f"--submit {word}: write KEY=VALUE, as in --submit gpus_per_node=1")
        found[key] = yaml.safe_load(text)
    return found
