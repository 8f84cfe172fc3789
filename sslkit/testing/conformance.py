"""The conformance kit: what the contracts ask of a part, as functions to call and as cases for pytest.

In the spirit of scikit-learn's ``check_estimator``: ``check_loss(MyLoss)`` runs every rule of the kind;
``@plugin_checks("my_plugin")`` makes one pytest case of each rule of each part that an installed plugin brings.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sslkit.errors import UserError, nearest
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registration, Registry
from sslkit.recipe.specs import spec_of
from sslkit.testing.case import BrokenRule, Case
from sslkit.testing.rules import (
    any_kind,
    augmenter,
    backbone,
    clip,
    dataset,
    evaluator,
    head,
    loss,
    optimizer,
    schedule,
    teacher,
    watcher,
)
from sslkit.testing.rules.loss_ranks import TwoRanks

if TYPE_CHECKING:
    import pytest

Rule = Callable[[Case], None]
Options = Mapping[str, Any]
_RULES: dict[str, tuple[Rule, ...]] = {
    "augmenter": augmenter.RULES, "backbone": backbone.RULES, "clip": clip.RULES, "dataset": dataset.RULES,
    "evaluator": evaluator.RULES, "head": head.RULES, "loss": loss.RULES, "optimizer": optimizer.RULES,
    "schedule": schedule.RULES, "teacher": teacher.RULES, "watcher": watcher.RULES,
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One rule on one part; call it.

    Attributes:
        part: such as ``loss 'mine'``.
        rule: its name, such as ``no_side_effects``.
        kind: the part's kind.
    """

    part: str
    rule: str
    kind: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Run the rule.

        Raises:
            AssertionError: if it is broken: part, rule, why, and where the contract stands.
        """
        try:
            self.run()
        except BrokenRule as broken:
            raise AssertionError(self._told(str(broken))) from None
        except (Exception, SystemExit) as error:
            raise AssertionError(self._told(f"{type(error).__name__}: {error}")) from error

    def _told(self, why: str) -> str:
        return f"the {self.part} breaks the rule {self.kind}.{self.rule}: {why} (docs/contracts.md#{self.kind})"


def checks_of(kind: str, target: type, options: Options | None = None, name: str | None = None) -> list[Check]:
    """Every rule for one part.

    Args:
        kind: its kind.
        target: its class.
        options: those that it needs; the others have their defaults.
        name: how messages call it; by default the class's name.

    Raises:
        UserError: if the class is not of the kind, or the options do not fit its signature.
    """
    registry = load_registry()
    part = Registration(kind, name or target.__name__, target, "conformance", "the class itself")
    registry.parts.append(part)
    return _checks([_case(registry, part, options or {})])


def _case(registry: Registry, part: Registration, options: Options) -> Case:
    return Case(spec_of(registry, part.kind, f"{part.plugin}:{part.name}", options))


def _checks(cases: list[Case]) -> list[Check]:
    pair = TwoRanks([case for case in cases if case.kind == "loss"])
    found = []
    for case in cases:
        rules: list[tuple[str, Rule]] = [(rule.__name__, rule) for rule in (*any_kind.RULES, *_RULES[case.kind])]
        if case.kind == "loss":
            rules.append(("two_ranks", pair.rule))
        label = f"{case.kind} {case.spec.name.rpartition(':')[2]!r}"
        found += [Check(label, name, case.kind, partial(rule, case)) for name, rule in rules]
    return found


def checks_of_plugin(
    plugins: str | Sequence[str], options: Mapping[str, Options] | None = None, skip: Mapping[str, str] | None = None
) -> list[Check]:
    """Every rule for every part of an installed plugin, or of several, and those for their entry points.

    Args:
        plugins: names of entry points.
        options: what parts need that have no default, by ``kind:name``.
        skip: parts that cannot be checked here, by ``kind:name``, each with the reason.

    Raises:
        UserError: if there is no such plugin, it is broken, or ``options`` or ``skip`` name a part that it has not.
    """
    options, skip = options or {}, skip or {}
    registry, names = load_registry(), [plugins] if isinstance(plugins, str) else list(plugins)
    for name in names:
        if name in registry.broken:
            raise UserError(f"the plugin {name!r} is broken: {registry.broken[name]}")
        if name not in (known := {part.plugin for part in registry.parts}):
            raise UserError(f"there is no plugin {name!r}; {nearest(name, known)}")
    parts = {f"{part.kind}:{part.name}": part for part in registry.parts if part.plugin in names}
    for key in (*options, *skip):
        if key not in parts:
            raise UserError(f"{', '.join(names)}: there is no part {key!r}; {nearest(key, parts)}")
    cases = [_case(registry, part, options.get(key, {})) for key, part in parts.items() if key not in skip]
    light = [Check(f"plugin {name!r}", "entry_point", "plugin", partial(_light_entry_point, name)) for name in names]
    return [*light, *_checks(cases)]


def _light_entry_point(plugin: str) -> None:
    """The entry point names parts, and imports no torch."""
    code = (
        "import sys, importlib.metadata as m\n"
        f"[p.load() for p in m.entry_points(group='sslkit') if p.name == {plugin!r}]\n"
        "sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        raise BrokenRule("its entry point imports torch: name parts as 'module:Class', and import inside of functions")
    if done.returncode:
        raise BrokenRule(f"its entry point does not load: {done.stderr.strip().splitlines()[-1]}")


def check_plugin(
    plugins: str | Sequence[str], options: Mapping[str, Options] | None = None, skip: Mapping[str, str] | None = None
) -> None:
    """Run every rule for an installed plugin; the arguments are those of :func:`checks_of_plugin`.

    Raises:
        AssertionError: with every rule that is broken, one a line.
    """
    _run(checks_of_plugin(plugins, options, skip))


def plugin_checks(
    plugins: str | Sequence[str], options: Mapping[str, Options] | None = None, skip: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """A parametrisation: ``def test_contracts(check): check()`` becomes one case a rule and part.

    The arguments are those of :func:`checks_of_plugin`.
    """
    import pytest

    checks = checks_of_plugin(plugins, options, skip)
    ids = [f"{check.part.replace(' ', '-')}-{check.rule}".replace("'", "") for check in checks]
    return pytest.mark.parametrize("check", checks, ids=ids)


def _run(checks: list[Check]) -> None:
    broken = []
    for check in checks:
        try:
            check()
        except AssertionError as error:
            broken.append(str(error))
    if broken:
        raise AssertionError("\n".join(broken))


def check_augmenter(target: type, options: Options | None = None) -> None:
    """Every rule for augmenters; as :func:`checks_of`, but raises AssertionError with all that are broken."""
    _run(checks_of("augmenter", target, options))


def check_backbone(target: type, options: Options | None = None) -> None:
    """Every rule for backbones; see :func:`check_augmenter`."""
    _run(checks_of("backbone", target, options))


def check_clip(target: type, options: Options | None = None) -> None:
    """Every rule for gradient clippers; see :func:`check_augmenter`."""
    _run(checks_of("clip", target, options))


def check_dataset(target: type, options: Options | None = None) -> None:
    """Every rule for data sets; see :func:`check_augmenter`."""
    _run(checks_of("dataset", target, options))


def check_evaluator(target: type, options: Options | None = None) -> None:
    """Every rule for evaluators; see :func:`check_augmenter`."""
    _run(checks_of("evaluator", target, options))


def check_head(target: type, options: Options | None = None) -> None:
    """Every rule for heads and predictors; see :func:`check_augmenter`."""
    _run(checks_of("head", target, options))


def check_loss(target: type, options: Options | None = None) -> None:
    """Every rule for losses, that on two ranks among them; see :func:`check_augmenter`."""
    _run(checks_of("loss", target, options))


def check_optimizer(target: type, options: Options | None = None) -> None:
    """Every rule for optimizers; see :func:`check_augmenter`."""
    _run(checks_of("optimizer", target, options))


def check_schedule(target: type, options: Options | None = None) -> None:
    """Every rule for schedules; see :func:`check_augmenter`."""
    _run(checks_of("schedule", target, options))


def check_teacher(target: type, options: Options | None = None) -> None:
    """Every rule for teacher rules; see :func:`check_augmenter`."""
    _run(checks_of("teacher", target, options))


def check_watcher(target: type, options: Options | None = None) -> None:
    """Every rule for watchers; see :func:`check_augmenter`."""
    _run(checks_of("watcher", target, options))
