"""``sslkit eval``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.trained import add_trained, named_trained
from sslkit.cli.words import Words
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides
from sslkit.report.trained import EVALUATE

_EPILOG = """overrides: data, eval_data, preprocess, evaluate, train, and backbone with --weights; as for `sslkit fit`

examples:
  sslkit eval runs/quickstart
  sslkit eval runs/quickstart knn --evaluate.knn.k '[5, 10, 20]' --data image_folder --data.root photos
  sslkit eval --weights pretrained.pth --backbone vit --backbone.arch small \\
      --preprocess.resize 256 knn --data imagenet --data.root IMAGENET
"""


def run(argv: Sequence[str]) -> int:
    """Evaluate a trained backbone."""
    words = Words("eval", "Judge a trained backbone with the evaluators of its recipe, or with one.", _EPILOG)
    words.usage = "sslkit eval (RUN | --weights FILE --backbone ...) [EVALUATOR] [flags] [overrides]"
    add = words.add_argument
    add("run", nargs="?", metavar="RUN", help="a run folder, or one of its checkpoints")
    add("evaluator", nargs="?", metavar="EVALUATOR", help="an id of the recipe, or an evaluator's name")
    add("--out", type=home_path, metavar="DIR", help="where results go (default: evaluations/ in the run)")
    add_trained(words)
    rest, overrides = split_overrides(argv, words.flags, EVALUATE)
    args = words.parse(rest)
    if args.weights is not None:
        # the first bare word is the evaluator then
        if args.evaluator is not None:
            raise UserError(f"sslkit eval: both a run {args.run!r} and --weights are given; give one")
        args.run, args.evaluator = None, args.run
    args.run = args.run and home_path(args.run)
    trained = named_trained(args, "eval")
    trained.check(overrides, EVALUATE)
    from sslkit.report.evaluate_backbone import evaluate_backbone, show_evaluation, with_evaluator

    found = with_evaluator(args.evaluator, trained.registry, overrides, trained.load)
    show_evaluation(evaluate_backbone(found, args.evaluator, args.out or trained.evaluations(found)))
    return 0
