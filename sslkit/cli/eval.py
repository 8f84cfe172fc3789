"""``sslkit eval``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.words import Words
from sslkit.recipe.overrides import split_overrides

#: What may differ from the run's recipe when its backbone is judged.
SECTIONS = ("data", "eval_data", "preprocess", "evaluate", "train")

_EPILOG = """overrides: of data, eval_data, preprocess, evaluate and train, as for `sslkit fit`

examples:
  sslkit eval runs/quickstart
  sslkit eval runs/quickstart knn --evaluate.knn.k '[5, 10, 20]' --data image_folder --data.root photos
"""


def run(argv: Sequence[str]) -> int:
    """Evaluate a run."""
    words = Words("eval", "Judge a run's backbone with the evaluators of its recipe, or with one.", _EPILOG)
    words.usage = "sslkit eval RUN [EVALUATOR] [flags] [overrides]"
    words.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints")
    words.add_argument("evaluator", nargs="?", metavar="EVALUATOR", help="an id of the recipe, or an evaluator's name")
    add_net_and_plugins(words)
    rest, overrides = split_overrides(argv, words.flags, SECTIONS)
    args = words.parse(rest)
    from sslkit.report.evaluate_run import evaluate_run

    evaluate_run(args.run, args.evaluator, args.which, overrides, tuple(args.plugin))
    return 0


def add_net_and_plugins(words: Words) -> None:
    """The flags that ``eval`` and ``embed`` share."""
    add = words.add_argument
    add("--which", choices=("teacher", "student"), help="the net (default: the teacher, where there is one)")
    add("--plugin", type=Path, action="append", default=[], metavar="FILE.py", help="also load a single-file plugin")
