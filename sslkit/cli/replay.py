"""``sslkit replay``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.words import Words, add_plugin_flags
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides

#: What may be tried.
SECTIONS = ("train", "optimizer", "clip", "loss", "losses", "head", "predictor")

_EPILOG = """overrides: train, optimizer, clip, loss, losses, head and predictor, to try what helps; as for `sslkit fit`

examples:
  sslkit replay runs/mine/snapshots/step-00000120
  sslkit replay runs/mine/snapshots/step-00000120 --train.precision fp32

exit code: 1 if the step is not finite again, 0 if it is finite
"""


def run(argv: Sequence[str]) -> int:
    """Make a step once more that was not finite."""
    words = Words("replay", "Make a step once more whose loss or gradients were not finite.", _EPILOG)
    words.usage = "sslkit replay SNAPSHOT [flags] [overrides]"
    words.add_argument("snapshot", type=home_path, metavar="SNAPSHOT", help="a folder below snapshots/ in a run")
    add_plugin_flags(words)
    rest, overrides = split_overrides(argv, words.flags, SECTIONS)
    args = words.parse(rest)
    recipe_file = args.snapshot.absolute().parent.parent / "recipe.yaml"
    if not recipe_file.is_file():
        raise UserError(f"{args.snapshot}: is no snapshot; name a folder as runs/NAME/snapshots/step-00000120")
    from sslkit.plugins.manager import load_registry
    from sslkit.recipe.load import load_recipe
    from sslkit.report.replay_step import replay_step

    recipe = load_recipe(recipe_file, overrides, load_registry(tuple(args.plugin), args.no_plugins))
    found = replay_step(recipe, args.snapshot)
    print("\n".join(found.lines()))
    return 1 if found.fault else 0
