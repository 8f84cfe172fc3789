"""``sslkit eval``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.trained import add_trained, check_sections, load_trained, named_trained
from sslkit.cli.words import Words
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides

#: What may be given when a backbone is judged.
SECTIONS = ("data", "eval_data", "preprocess", "evaluate", "train", "backbone")

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
    rest, overrides = split_overrides(argv, words.flags, SECTIONS)
    args = words.parse(rest)
    if args.weights is not None:
        # the first bare word is the evaluator then
        if args.evaluator is not None:
            raise UserError(f"sslkit eval: both a run {args.run!r} and --weights are given; give one")
        args.run, args.evaluator = None, args.run
    path = named_trained(args, "eval")
    args.run = args.run and home_path(args.run)
    check_sections(args, overrides)
    from sslkit.plugins.manager import load_registry
    from sslkit.report.evaluate_backbone import evaluate_backbone, with_evaluator

    registry = load_registry(tuple(args.plugin), args.no_plugins)
    found = with_evaluator(args.evaluator, registry, overrides, lambda more: load_trained(args, more, registry))
    default = Path("evaluations") / path.stem if args.weights else found.shown / "evaluations"
    evaluate_backbone(found, args.evaluator, args.out or default)
    return 0
