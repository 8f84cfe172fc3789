"""``sslkit bench``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sslkit.cli.words import Words, add_plugin_flags, positive
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides

if TYPE_CHECKING:
    from sslkit.report.bench import Bench

_EPILOG = """overrides: any key of the recipe, as for `sslkit fit`

examples:
  sslkit bench --recipe quickstart
  sslkit bench --recipe quickstart --train.batch_size 128 --train.precision bf16 --json bench.json
"""


def run(argv: Sequence[str]) -> int:
    """Measure a recipe's step; nothing is trained for good."""
    words = Words("bench", "Where the time of a recipe's step goes, and what bounds it.", _EPILOG)
    words.usage = "sslkit bench --recipe FILE_OR_NAME [flags] [overrides]"
    add = words.add_argument
    add("--recipe", required=True, metavar="FILE_OR_NAME", help="a YAML file, or a name from `sslkit recipes list`")
    add("--steps", type=positive, default=20, metavar="N", help="of each measurement (default: 20)")
    add("--json", type=home_path, metavar="FILE", help="also write the numbers there")
    add_plugin_flags(words)
    rest, overrides = split_overrides(argv, words.flags)
    args = words.parse(rest)
    from sslkit.engine.files import write_json
    from sslkit.plugins.manager import load_registry
    from sslkit.recipe.load import load_recipe
    from sslkit.report.bench import bench

    found = bench(load_recipe(args.recipe, overrides, load_registry(tuple(args.plugin), args.no_plugins)), args.steps)
    print("\n".join(_lines(found)))
    if args.json:
        write_json(args.json, {**vars(found), "share_of_ceiling": found.share_of_ceiling, "advice": found.advice()})
    return 0


def _lines(found: Bench) -> list[str]:
    whole = sum(found.split.values())
    rates = [
        ("together", found.images_per_second, f"{100 * found.wait_share:.0f}% of it waiting for data"),
        ("the step alone", found.step_images_per_second, f"batches of {found.batch_size}"),
        ("the loader alone", found.loader_images_per_second, f"{found.workers} loader processes"),
    ]
    told = [f"{name:18}{rate:10.1f} images/s   {note}" for name, rate, note in rates]
    told += ["", "of a step, each part waited for:"]
    told += [
        f"  {name:30}{1e3 * seconds:10.2f} ms {100 * seconds / whole:5.1f}%" for name, seconds in found.split.items()
    ]
    told += [
        "",
        f"{found.flops / 1e9:.2f} GFLOP a step; {100 * found.share_of_ceiling:.1f}% of the {found.ceiling / 1e9:.0f} "
        f"GFLOP/s that large matrix products reach here; at most {found.memory_mb:.0f} MB",
        *found.advice(),
    ]
    return told
