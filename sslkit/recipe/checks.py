"""The ranges of the engine's own settings, all in one place; parts check their own options when they are built."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.settings import Checkpointing, EvaluateWhen, ParamRule, Train


@dataclass(frozen=True, kw_only=True)
class Seed:
    """The seed of a run.

    Args:
        seed: of every random draw: initial weights, order of the images, views. The same seed on the same machine gives
            the same run.
    """

    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class LossWeight:
    """The key that stands beside a loss's own options.

    Args:
        weight: factor of the loss in the sum.
    """

    weight: float = 1.0


#: Key, what must hold, and the sentence if it does not; the first that fails is told.
_Rule = tuple[str, Callable[[Any], bool], str]


def _at_least(key: str, least: float, hint: str = "") -> _Rule:
    def holds(settings: Any) -> bool:
        value = vars(settings)[key]
        return value is None or value >= least

    return key, holds, f"must be at least {least}{hint}"


def _positive(key: str, hint: str = "") -> _Rule:
    def holds(settings: Any) -> bool:
        value = vars(settings)[key]
        return value is None or value > 0

    return key, holds, f"must be more than 0{hint}"


_OR_NULL = "; null switches it off"
_ONE_EACH = "needs one number in 0..1 for each of preprocess.channels (docs/channels.md computes them)"
_RULES: dict[type, tuple[_Rule, ...]] = {
    Seed: (("seed", lambda s: 0 <= s.seed < 2**63, "must be at least 0 and below 2^63"),),
    LossWeight: (_at_least("weight", 0),),
    Train: (
        _at_least("epochs", 1),
        _at_least("batch_size", 1),
        _at_least("micro_batches", 1),
        ("cuda_graphs", lambda t: t.compile or not t.cuda_graphs, "needs train.compile true"),
        (
            "cuda_graphs",
            lambda t: t.micro_batches == 1 or not t.cuda_graphs,
            "plays one batch a step: it needs train.micro_batches 1",
        ),
        (
            "micro_batches",
            lambda t: t.batch_size % t.micro_batches == 0,
            "must divide train.batch_size, so that all parts of a batch are equally large",
        ),
        _at_least("lr_per_images", 1, "; null takes the learning rate as it is written"),
        _at_least("workers", 0, "; 0 loads in the main process, null chooses"),
        _at_least("worker_timeout", 0, " seconds; 0 waits for ever"),
        _positive("rank_timeout"),
        _at_least("cache_side", 1),
        _at_least("short_side", 1, "; null leaves images as large as they are"),
        _at_least("threads", 1, "; null leaves it to torch"),
        _at_least("log_every", 1),
        _at_least("max_steps", 1, "; null trains for all epochs"),
        _at_least("max_nonfinite", 0),
        ("max_bad_fraction", lambda t: 0 <= t.max_bad_fraction <= 1, "must be a share from 0 to 1"),
    ),
    Checkpointing: (
        _at_least("every_epochs", 1, _OR_NULL),
        _at_least("every_steps", 1, _OR_NULL),
        _positive("every_minutes", _OR_NULL),
        _at_least("keep", 2, ": a damaged newest checkpoint must have one to fall back to"),
        (
            "best_metric",
            lambda c: c.best_metric is None or (c.best_metric.count("/") >= 2 and all(c.best_metric.split("/"))),
            "must name an evaluation's number, as in teacher/knn/k20_top1",
        ),
    ),
    ParamRule: (
        ("match", lambda r: r.match != "", "must be a pattern of parameter names, as in backbone.* or *.bias"),
        _at_least("max_ndim", 0),
        _at_least("lr", 0),
        _at_least("weight_decay", 0),
    ),
    EvaluateWhen: (
        _at_least("every", 0, "; 0 evaluates at the end only"),
        ("which", lambda e: len(e.which) > 0, "must name at least one net: [teacher], [student] or both"),
        ("which", lambda e: len(set(e.which)) == len(e.which), "names a net twice"),
    ),
    Preprocess: (
        _at_least("size", 1),
        ("resize", lambda p: p.resize is None or p.resize >= p.size, "must be at least preprocess.size, or null"),
        _at_least("channels", 1, ": 3 for RGB, 1 for grayscale, or as many as your images have"),
        ("mean", lambda p: len(p.mean) == p.channels, _ONE_EACH),
        ("std", lambda p: len(p.std) == p.channels, _ONE_EACH),
        (
            "value_range",
            lambda p: p.value_range is None or -math.inf < p.value_range[0] < p.value_range[1] < math.inf,
            "must be two numbers, first the one that becomes black and then a larger one that becomes white, or null",
        ),
        ("std", lambda p: all(value > 0 for value in p.std), "must be more than 0 in every channel"),
    ),
}


def problem(settings: object) -> tuple[str, str] | None:
    """The first key that is out of range, and the sentence that says so; None if all are fine."""
    for key, holds, sentence in _RULES[type(settings)]:
        if not holds(settings):
            return key, f"{sentence}, got {_shown(vars(settings)[key])}"
    return None


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
