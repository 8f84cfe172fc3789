"""A recipe as the engine sees it: typed, complete and checked; nothing is built yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sslkit.errors import UserError
from sslkit.parts.effect import Effect
from sslkit.parts.kinds import KINDS
from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.settings import Checkpointing, EvaluateWhen, ParamRule, Train


@dataclass(frozen=True)
class PartSpec:
    """A part that a recipe names.

    Attributes:
        kind: its kind.
        name: its registered name, as the recipe writes it.
        target: its class, imported.
        options: every option with its typed value; schedules are nested ``PartSpec``.
        where: ``file:line`` of its section, for messages.
        places: ``file:line: key`` of the options that were given.
        owner: the plugin that brought it, and its distribution.
        effects: what changing an option in the middle of a run does, for the options that are marked with it.
    """

    kind: str
    name: str
    target: type
    options: Mapping[str, Any]
    where: str = field(default="", compare=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    owner: str = field(default="", compare=False)
    effects: Mapping[str, Effect] = field(default_factory=dict, compare=False)

    def breach(self, what: str) -> UserError:
        """The error that the part's class does not keep the contract of its kind: the fault of its author.

        Args:
            what: what it does instead, such as ``forward gives a Tensor instead of Tokens``.
        """
        contract = KINDS[self.kind].contract.rpartition(":")[2]
        return UserError(
            f"{self.where}: the {self.kind} {self.name!r} of {self.owner} breaks the contract sslkit.parts.{contract}: "
            f"{what}; see docs/contracts.md#{self.kind}"
        )

    def located(self, sentence: str) -> str:
        """What the part says, with the place of the option that the sentence begins with, else of the part."""
        words = re.match(r"\w+", sentence)
        option = words.group() if words else ""
        if option in self.places:
            return self.places[option] + sentence.removeprefix(option)
        return f"{self.where}: {sentence}"

    def plain(self) -> dict[str, Any]:
        """The part as recipe data."""
        options = {key: value.plain() if isinstance(value, PartSpec) else value for key, value in self.options.items()}
        return {"name": self.name, **options}


@dataclass(frozen=True)
class LossSpec:
    """A loss and its weight in the sum."""

    part: PartSpec
    weight: float = 1.0


@dataclass(frozen=True)
class EvaluateSpec:
    """An evaluator and when it runs."""

    part: PartSpec
    when: EvaluateWhen


@dataclass(frozen=True)
class Judging:
    """What of a recipe is needed to judge or to use a backbone that is trained already."""

    seed: int
    preprocess: Preprocess
    backbone: PartSpec
    train: Train
    evaluate: Mapping[str, EvaluateSpec] = field(default_factory=dict)
    data: PartSpec | None = None
    eval_data: PartSpec | None = None


@dataclass(frozen=True)
class Recipe:
    """One run, completely described.

    Attributes:
        source: the recipe's file as the user named it; its stem names the run folder.
        resolved: the same as plain data with every default filled in: what ``recipe.yaml`` holds.
        notes: what the user should be told, such as options that a command-line override dropped.
        places: ``file:line: key`` of the engine's own settings that were given, by key (``train.epochs``).
    """

    source: str = field(compare=False)
    seed: int
    data: PartSpec
    augment: PartSpec
    backbone: PartSpec
    optimizer: PartSpec
    losses: Mapping[str, LossSpec]
    eval_data: PartSpec | None = None
    head: PartSpec | None = None
    predictor: PartSpec | None = None
    teacher: PartSpec | None = None
    teacher_backbone: PartSpec | None = None
    teacher_head: PartSpec | None = None
    clip: PartSpec | None = None
    preprocess: Preprocess = field(default_factory=Preprocess)
    param_groups: Mapping[str, ParamRule] = field(default_factory=dict)
    train: Train = field(default_factory=Train)
    checkpoint: Checkpointing = field(default_factory=Checkpointing)
    evaluate: Mapping[str, EvaluateSpec] = field(default_factory=dict)
    watch: Mapping[str, PartSpec] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), compare=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def place(self, key: str) -> str:
        """Where a setting stands, as ``recipe.yaml:12: train.epochs``; its key where it is a default."""
        return self.places.get(key, key)

    def judging(self, net: str = "student") -> Judging:
        """What judging one of its nets needs."""
        other = self.teacher_backbone if net == "teacher" else None
        return Judging(
            self.seed,
            self.preprocess,
            other or self.backbone,
            self.train,
            self.evaluate,
            self.data,
            self.eval_data,
        )
