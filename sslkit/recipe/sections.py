"""Turns a merged draft into a typed recipe, section by section."""

from __future__ import annotations

from typing import TypeVar

from sslkit.errors import nearest
from sslkit.parts.preprocess import Preprocess
from sslkit.plugins.registry import Registry
from sslkit.recipe.checks import LossWeight, Seed
from sslkit.recipe.given import Given, Layer
from sslkit.recipe.merge import Draft, Named, Stacks
from sslkit.recipe.model import EvaluateSpec, Judging, LossSpec, PartSpec, Recipe
from sslkit.recipe.schema import BESIDE
from sslkit.recipe.settings import Checkpointing, EvaluateWhen, ParamRule, Train
from sslkit.recipe.specs import Specs

T = TypeVar("T")


def typed_sections(draft: Draft, registry: Registry, source: str) -> Recipe:
    """The second pass: imports the classes that are named, and types every option.

    Raises:
        UserError: located, for whatever a signature or a range refuses.
    """
    return _Sections(draft, Specs(registry, list(draft.notes)), source).recipe()


def typed_judging(draft: Draft, registry: Registry, source: str) -> Judging:
    """The second pass over what judging a backbone needs, and nothing else.

    Raises:
        UserError: located, for whatever a signature or a range refuses.
    """
    return _Sections(draft, Specs(registry, list(draft.notes)), source).judging()


class _Sections:
    def __init__(self, draft: Draft, specs: Specs, source: str) -> None:
        self.draft, self.specs, self.source = draft, specs, source

    def recipe(self) -> Recipe:
        # settings first: their mistakes cost no import
        seed = self.settings("seed", Seed).seed
        preprocess, train = self.settings("preprocess", Preprocess), self.settings("train", Train)
        checkpoint = self.settings("checkpoint", Checkpointing)
        rules = {
            key: self.specs.settings(ParamRule, rule.options, rule.at)
            for key, rule in self.draft.rules.items()
            if rule is not None
        }
        evaluate = self.evaluate()
        self.check_best_metric(checkpoint, evaluate)
        return Recipe(
            source=self.source,
            seed=seed,
            data=self.part("data", "dataset"),
            eval_data=self.optional_part("eval_data", "dataset"),
            preprocess=preprocess,
            augment=self.part("augment", "augmenter"),
            backbone=self.part("backbone", "backbone"),
            head=self.optional_part("head", "head"),
            predictor=self.optional_part("predictor", "head"),
            teacher=self.optional_part("teacher", "teacher"),
            teacher_backbone=self.optional_part("teacher_backbone", "backbone"),
            teacher_head=self.optional_part("teacher_head", "head"),
            losses=self.losses(),
            optimizer=self.part("optimizer", "optimizer"),
            clip=self.optional_part("clip", "clip"),
            param_groups=rules,
            train=train,
            checkpoint=checkpoint,
            evaluate=evaluate,
            watch={key: self.specs.part("watcher", entry) for key, entry in self.entries("watch").items()},
            notes=tuple(self.specs.notes),
            places={
                f"{section}.{key}": stack[-1].place
                for section in ("preprocess", "train", "checkpoint")
                for key, stack in self.draft.settings.get(section, {}).items()
            },
        )

    def judging(self) -> Judging:
        return Judging(
            seed=self.settings("seed", Seed).seed,
            preprocess=self.settings("preprocess", Preprocess),
            backbone=self.part("backbone", "backbone"),
            train=self.settings("train", Train),
            evaluate=self.evaluate(),
            data=self.optional_part("data", "dataset"),
            eval_data=self.optional_part("eval_data", "dataset"),
        )

    def settings(self, section: str, cls: type[T]) -> T:
        return self.specs.settings(cls, self.draft.settings.get(section, {}), self.at(section))

    def at(self, section: str) -> Given:
        return Given(None, () if section == "seed" else (section,), Layer(self.source, {}))

    def part(self, section: str, kind: str) -> PartSpec:
        named = self.draft.slots[section]
        assert named is not None, "the first pass has checked that it is there"
        return self.specs.part(kind, named)

    def optional_part(self, section: str, kind: str) -> PartSpec | None:
        return self.part(section, kind) if self.draft.slots.get(section) is not None else None

    def entries(self, section: str) -> dict[str, Named]:
        return {key: entry for key, entry in self.draft.parts.get(section, {}).items() if entry is not None}

    def losses(self) -> dict[str, LossSpec]:
        losses = {}
        for key, entry in self.entries("losses").items():
            part = self.specs.part("loss", entry, BESIDE["losses"])
            beside = self.specs.settings(LossWeight, _only(entry.options, "losses"), entry.at)
            losses[key] = LossSpec(part, beside.weight)
        return losses

    def evaluate(self) -> dict[str, EvaluateSpec]:
        specs = {}
        for key, entry in self.entries("evaluate").items():
            when = self.specs.settings(EvaluateWhen, _only(entry.options, "evaluate"), entry.at)
            specs[key] = EvaluateSpec(self.specs.part("evaluator", entry, BESIDE["evaluate"]), when)
        return specs

    def check_best_metric(self, checkpoint: Checkpointing, evaluate: dict[str, EvaluateSpec]) -> None:
        if checkpoint.best_metric is None:
            return
        # without a teacher the student is judged in its place (sslkit.evaluation.runner)
        has_teacher = self.optional_part("teacher", "teacher") is not None
        owners = {
            f"{net if has_teacher else 'student'}/{key}" for key, spec in evaluate.items() for net in spec.when.which
        }
        owner = checkpoint.best_metric.rpartition("/")[0]
        if owner not in owners:
            given = self.draft.settings["checkpoint"]["best_metric"][-1]
            raise given.error(f"no evaluation {owner!r} is in the section evaluate; {nearest(owner, owners)}")


def _only(options: Stacks, section: str) -> Stacks:
    return {key: stack for key, stack in options.items() if key in BESIDE[section]}
