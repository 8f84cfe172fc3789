"""Names of numbers for people: ``teacher/knn/k20_top1`` is "k-NN top-1 (k = 20)"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from sslkit.parts.evaluator import Evaluator
from sslkit.recipe.model import EvaluateSpec

#: A metric's name ``net/evaluator/metric`` in words.
InWords = Callable[[str], str]


def words_of(evaluate: Mapping[str, EvaluateSpec]) -> InWords:
    """How the metrics of a recipe's evaluators are called, without the net's name.

    An evaluator's words come from its class; what an id adds to its name tells apart entries of one evaluator:
    ``knn_transformed`` is "k-NN ..., transformed".
    """

    def in_words(name: str) -> str:
        _, owner, metric = name.split("/", 2)
        spec = evaluate.get(owner)
        if spec is None:
            return f"{owner} {metric}".replace("_", " ")
        words = cast(type[Evaluator], spec.part.target).in_words(metric)
        own = owner.removeprefix(spec.part.name).strip("_").replace("_", " ")
        return f"{words}, {own}" if own else words

    return in_words


def unnamed(name: str) -> str:
    """A metric's own name, where no recipe says more."""
    return name
