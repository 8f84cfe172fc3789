"""From names and raw values to typed options: the second pass, which imports the classes that are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sslkit.errors import UserError, nearest
from sslkit.parts.kinds import KINDS
from sslkit.plugins.registry import Registry
from sslkit.recipe.checks import problem
from sslkit.recipe.given import Given, Layer
from sslkit.recipe.merge import Named, Stacks
from sslkit.recipe.model import PartSpec
from sslkit.recipe.part_hints import having_option
from sslkit.recipe.paths import absolute_paths
from sslkit.recipe.schedules import ScheduleReader
from sslkit.recipe.signature import Option, options_of
from sslkit.recipe.values import typed

T = TypeVar("T")


@dataclass
class Specs:
    """Makes typed parts and settings.

    Attributes:
        registry: where names are looked up.
        notes: grows by what overrides dropped.
    """

    registry: Registry
    notes: list[str] = field(default_factory=list)

    def part(self, kind: str, named: Named, beside: Iterable[str] = ()) -> PartSpec:
        """A part with every option typed.

        Args:
            kind: its kind.
            named: its name and raw options.
            beside: keys that stand beside its options and are read elsewhere.

        Raises:
            UserError: located, for whatever is not as its signature says.
        """
        name, beside = str(named.name), frozenset(beside)
        noun = f"{KINDS[kind].name} {name!r}"
        try:
            part = self.registry.find(kind, name)
            target = part.load()
            options = options_of(target, KINDS[kind].context)
        except UserError as error:
            raise named.at.error(str(error)) from error
        if clash := beside & options.keys():
            raise named.at.error(f"the {noun} has an option {min(clash)!r}, which is a key of this section itself")
        stacks = {key: stack for key, stack in named.options.items() if key not in beside}
        for key, stack in stacks.items():
            if key in KINDS[kind].context:
                raise stack[0].error("the engine fills this in; leave it out")
            if key not in options:
                hint = self._elsewhere(kind, stack[0], [*options, *beside])
                raise stack[0].error(f"there is no such option of the {noun}; {hint}")
        values = {option.name: self._value(option, stacks, named.at, noun) for option in options.values()}
        places = {key: stack[-1].place for key, stack in stacks.items()}
        effects = {option.name: option.effect for option in options.values() if option.effect is not None}
        return PartSpec(kind, name, target, values, named.at.section, places, part.owner, effects)

    def settings(self, cls: type[T], stacks: Stacks, at: Given) -> T:
        """One of the dataclasses of settings, typed and within its ranges.

        Raises:
            UserError: located, for an unknown key, a wrong type or a value out of range.
        """
        options = options_of(cls)
        for key, stack in stacks.items():
            if key not in options:
                raise stack[0].error(f"there is no such key here; {self._elsewhere('', stack[0], options)}")
        made = cls(**{option.name: self._value(option, stacks, at, at.key) for option in options.values()})
        if (wrong := problem(made)) is not None:
            key, sentence = wrong
            raise (stacks[key][-1] if key in stacks else at.child(key, None)).error(sentence)
        return made

    def _elsewhere(self, kind: str, at: Given, known: Iterable[str]) -> str:
        """The nearest of the known keys; else the parts, or the section, that have a key of this name."""
        key = at.path[-1]
        near = nearest(key, known)
        if near.startswith("did you mean"):
            return near
        others = having_option(kind, key, self.registry)
        if others:
            return f"the {kind}s {', '.join(others)} have it: choose one with {at.key.rpartition('.')[0]} NAME"
        from sslkit.recipe.flag_hints import homes_of  # here: only a mistake needs the options of all parts

        dashes = "--" if at.key.startswith("--") else ""
        return next((f"did you mean '{dashes}{home}'?" for home in homes_of(key)), near)

    def _value(self, option: Option, stacks: Stacks, at: Given, noun: str) -> Any:
        stack = stacks.get(option.name, [])
        if option.takes_schedule:
            named = ScheduleReader(self.registry, self.notes).read(option, stack, at)
            if named is None and option.required and not stack:
                raise at.error(f"the {noun} needs {option.name!r}, a number or a schedule; it has no default")
            return None if named is None else self.part("schedule", named)
        if option.required and not stack:
            raise at.error(f"the {noun} needs {option.name!r}; it has no default")
        default = Given(option.default, (*at.path, option.name), Layer(f"the default of the {noun}", {}))
        given = _folded(stack) if stack else default
        value = typed(option.hint, given)
        try:
            return absolute_paths(option.annotation, value)
        except UserError as error:
            raise given.error(str(error)) from error


def _folded(stack: list[Given]) -> Given:
    """The newest value; mappings of several layers are merged by key."""
    newest = stack[-1]
    if not isinstance(newest.value, dict):
        return newest
    merged: dict[str, Any] = {}
    for given in stack:
        merged = {**merged, **given.value} if isinstance(given.value, dict) else {}
    return Given(merged, newest.path, newest.layer)


def spec_of(registry: Registry, kind: str, name: str, options: Mapping[str, Any]) -> PartSpec:
    """A part by name and options alone, without a recipe.

    Raises:
        UserError: as :meth:`Specs.part`.
    """
    layer = Layer("the options", {})
    stacks = {key: [Given(value, (kind, key), layer)] for key, value in options.items()}
    return Specs(registry).part(kind, Named(name, Given(name, (kind,), layer), stacks))
