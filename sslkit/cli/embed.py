"""``sslkit embed``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.trained import add_trained, named_trained
from sslkit.cli.words import Words
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides
from sslkit.report.trained import EMBED

_EPILOG = """overrides: of data, eval_data, preprocess and train, as for `sslkit fit`; with --weights also of backbone

examples:
  sslkit embed runs/quickstart --out features.npz --data image_folder --data.root photos
  sslkit embed --weights pretrained.pth --backbone vit --out features.npz --data image_folder ...
"""


def run(argv: Sequence[str]) -> int:
    """Write features to a file."""
    words = Words("embed", "Write the features that a trained backbone gives for images, with their paths.", _EPILOG)
    words.usage = "sslkit embed (RUN | --weights FILE --backbone ...) --out FILE [flags] [overrides]"
    words.add_argument("run", nargs="?", type=home_path, metavar="RUN", help="a run folder, or one of its checkpoints")
    words.add_argument("--out", type=home_path, required=True, metavar="FILE", help="FILE.parquet or FILE.npz")
    add_trained(words)
    rest, overrides = split_overrides(argv, words.flags, EMBED)
    args = words.parse(rest)
    trained = named_trained(args, "embed")
    trained.check(overrides, EMBED)
    from sslkit.report.embed import ENDINGS, embed, show_embedding
    from sslkit.report.out_file import check_out

    check_out(args.out, ENDINGS)
    show_embedding(embed(trained.load(overrides), args.out))
    return 0
