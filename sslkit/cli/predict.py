"""``sslkit predict``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.trained import add_trained, named_trained
from sslkit.cli.words import Words
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides
from sslkit.report.trained import PREDICT

_EPILOG = """a classifier is what `sslkit eval RUN linear_cached` (or linear, finetune) trains and saves in the run

overrides: data and train, as for `sslkit fit`; with --weights also backbone

examples:
  sslkit predict runs/quickstart photos --out classes.csv
  sslkit predict runs/photos new --classifier finetune --out classes.parquet
"""


def run(argv: Sequence[str]) -> int:
    """Classify images."""
    words = Words("predict", "Classify images with a classifier that an evaluator of a run trained.", _EPILOG)
    words.usage = "sslkit predict (RUN | --weights FILE --backbone ...) DIR --out FILE [flags] [overrides]"
    words.add_argument("run", nargs="?", type=home_path, metavar="RUN", help="a run folder, or one of its checkpoints")
    words.add_argument(
        "images", nargs="?", type=home_path, metavar="DIR", help="a folder of images (or: --data NAME --data.KEY ...)"
    )
    words.add_argument("--out", type=home_path, required=True, metavar="FILE", help="FILE.csv or FILE.parquet")
    name = "an evaluator's id, NET/ID, or a file (default: the only one there is)"
    words.add_argument("--classifier", metavar="NAME", help=name)
    add_trained(words)
    rest, overrides = split_overrides(argv, words.flags, PREDICT)
    args = words.parse(rest)
    if args.weights is not None:
        if args.images is not None:
            raise UserError(f"sslkit predict: both a run {str(args.run)!r} and --weights are given; give one")
        # the first bare word is the folder then
        args.run, args.images = None, args.run
    trained = named_trained(args, "predict")
    named = {override.key.split(".")[0] for override in overrides}
    if args.images is None and "data" not in named:
        raise UserError("sslkit predict: which images? Name a folder: sslkit predict RUN DIR --out FILE.csv")
    if args.weights is not None and "backbone" not in named:
        raise UserError("sslkit predict: --weights needs --backbone ..., as `sslkit eval` was given it")
    from sslkit.report.predict import predict_images

    predict_images(trained, args.images, args.out, args.classifier, overrides)
    return 0
