"""``sslkit embed``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.eval import add_net_and_plugins
from sslkit.cli.words import Words
from sslkit.recipe.overrides import split_overrides

#: What may differ from the run's recipe when its backbone is used.
SECTIONS = ("data", "eval_data", "preprocess", "train")

_EPILOG = """overrides: of data, eval_data, preprocess and train, as for `sslkit fit`

example:
  sslkit embed runs/quickstart --out features.npz --data image_folder --data.root photos
"""


def run(argv: Sequence[str]) -> int:
    """Write features to a file."""
    words = Words("embed", "Write the features that a run's backbone gives for images, with their paths.", _EPILOG)
    words.usage = "sslkit embed RUN --out FILE [flags] [overrides]"
    words.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints")
    words.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.parquet or FILE.npz")
    add_net_and_plugins(words)
    rest, overrides = split_overrides(argv, words.flags, SECTIONS)
    args = words.parse(rest)
    from sslkit.report.embed import embed_run

    embed_run(args.run, args.out, args.which, overrides, tuple(args.plugin))
    return 0
