"""Which keys of a recipe may differ when its run is continued, and what that does to the run's numbers.

Options of parts are marked by their authors (:class:`sslkit.parts.Effect`); the engine's own keys are listed here.
A key that is neither marked nor listed belongs to what is trained: a run in which it differs is another run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sslkit.parts.effect import Effect
from sslkit.recipe.model import PartSpec, Recipe

#: Keys and sections that change no number of the training: how long to wait, what to log, save and evaluate, how
#: faults are handled, and where the images lie (that they are the same ones is checked by their names).
FREE = (
    "train.workers", "train.worker_timeout", "train.rank_timeout", "train.max_steps", "train.log_every",
    "train.on_nonfinite", "train.max_nonfinite", "train.on_bad_image", "train.max_bad_fraction",
    "checkpoint", "watch", "evaluate", "eval_data", "data.root",
)  # fmt: skip

#: Keys that change rounding at most: the same mathematics by other kernels. (With ``compile`` drop path draws other
#: numbers of the same distribution.)
ROUNDING = ("train.compile", "train.cuda_graphs", "train.device", "train.threads")

#: Keys that change rounding at most where every sample is computed on its own: with BatchNorm in the nets, or (for
#: ``micro_batches``) a loss of batch statistics, they change what is trained.
PER_SAMPLE = ("train.micro_batches", "train.view_batching")

#: Keys that change no pixel as long as no training image is larger than the smaller of both sides.
PIXELS = ("train.cache", "train.cache_side", "train.short_side")

#: The run's length: its schedules are functions of it.
LENGTH = ("train.epochs",)

#: A run takes the precision that it was begun with, unless another one is named.
AUTO = "auto"

#: A value there, and the value now.
Pair = tuple[Any, Any]


class Kind(Enum):
    """What a changed key means for a continued run."""

    FREE = "no number changes"
    ROUNDING = "rounding at most"
    PER_SAMPLE = "rounding at most, if every sample is computed on its own"
    PIXELS = "no pixel changes, if no image is shrunk"
    LENGTH = "another length"
    OTHER = "another run"


@dataclass(frozen=True)
class Changes:
    """How the recipe of a run differs from the one that it was begun with.

    Attributes:
        by_kind: the values there and now, by dotted key, by what the change means.
        side: pixels; an image whose short side is larger would be shrunk by one of both recipes and not by the other.
    """

    by_kind: Mapping[Kind, Mapping[str, Pair]] = field(default_factory=dict)
    side: int | None = None

    def of(self, kind: Kind) -> Mapping[str, Pair]:
        """The changed keys of a kind."""
        return self.by_kind.get(kind, {})


def changes_between(
    old: Mapping[str, Any], new: Mapping[str, Any], effects: Mapping[str, Effect] | None = None
) -> Changes:
    """Compare two resolved recipes.

    Args:
        old: of the run that is there.
        new: the one that it is to be continued with.
        effects: the marks of options, by dotted key (:func:`effects_of`).
    """
    sides = [_side(recipe.get("train", {})) for recipe in (old, new)]
    before, now = flat_recipe(old), flat_recipe(new)
    if now.get("train.precision") == AUTO:
        now["train.precision"] = before.get("train.precision", AUTO)
    found: dict[Kind, dict[str, Pair]] = {}
    for key in [*now, *(key for key in before if key not in now)]:
        pair = before.get(key, "absent"), now.get(key, "absent")
        if pair[0] != pair[1]:
            found.setdefault(_kind(key, effects or {}, sides[0] == sides[1]), {})[key] = pair
    return Changes(found, min((side for side in sides if side is not None), default=None))


_LISTED = {
    Kind.FREE: FREE, Kind.ROUNDING: ROUNDING, Kind.PER_SAMPLE: PER_SAMPLE, Kind.PIXELS: PIXELS, Kind.LENGTH: LENGTH,
}  # fmt: skip
_MARKED = {Effect.NONE: Kind.FREE, Effect.ROUNDING: Kind.ROUNDING}


def _kind(key: str, effects: Mapping[str, Effect], same_side: bool) -> Kind:
    for kind, keys in _LISTED.items():
        if any(key == known or key.startswith(f"{known}.") for known in keys):
            return Kind.FREE if kind is Kind.PIXELS and same_side else kind
    return _MARKED[effects[key]] if key in effects else Kind.OTHER


def _side(train: Mapping[str, Any]) -> int | None:
    """The short side that larger training images are shrunk to; None: they stay as they are."""
    short: int | None = train.get("short_side")
    if train.get("cache") is None:
        return short
    side: int = train["cache_side"]
    return min(side, short or side)


def effects_of(recipe: Recipe) -> dict[str, Effect]:
    """The marks of all options of a recipe's parts, by dotted key."""
    named: dict[str, PartSpec] = {f"losses.{key}": loss.part for key, loss in recipe.losses.items()}
    named |= {section: part for section, part in vars(recipe).items() if isinstance(part, PartSpec)}
    return {f"{section}.{key}": effect for section, part in named.items() for key, effect in part.effects.items()}


def listed(pairs: Mapping[str, Pair], shown: int = 6) -> str:
    """Changed keys in a message: ``head.out_dim: 32 there, 64 now; ...``."""
    parts: dict[str, Pair] = {}
    for key, pair in pairs.items():
        # of a part that is there in one recipe alone, its name says enough, also where the other one has null
        outer = key if f"{key}.name" in pairs else key.rpartition(".")[0]
        name = pairs.get(f"{outer}.name", ())
        parts |= {outer: pairs[f"{outer}.name"]} if "absent" in name else {key: pair}
    told = "; ".join(f"{key}: {old} there, {new} now" for key, (old, new) in list(parts.items())[:shown])
    return f"{told} and {len(parts) - shown} more" if len(parts) > shown else told


def flat_recipe(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A resolved recipe's values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flat_recipe(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
