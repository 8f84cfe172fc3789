"""Reads an option that is a schedule: a number, a named schedule, or a change of one of its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sslkit.errors import UserError, nearest
from sslkit.parts.schedule import NamedSchedule
from sslkit.plugins.registry import Registry
from sslkit.recipe.given import Given, Layer, Text, show
from sslkit.recipe.merge import Named, Stacks
from sslkit.recipe.signature import Option, nullable, options_of

_FORMS = "a number, {cosine: [start, end]} or {name: cosine, start: ..., end: ...}"


@dataclass
class ScheduleReader:
    """Folds what the layers say of schedules.

    Attributes:
        registry: where schedules are registered.
        notes: grows by what overrides dropped.
    """

    registry: Registry
    notes: list[str]

    def read(self, option: Option, stack: list[Given], at: Given) -> Named | None:
        """The schedule of an option, named and with its arguments; None for null.

        Naming a schedule starts it afresh, unless an older layer named the same one: then its other arguments
        stay. Arguments without a name change the current schedule, or the signature's default.

        Args:
            option: an option annotated with ``Schedule``.
            stack: what the layers gave, oldest first.
            at: where the part stands, for the default.

        Raises:
            UserError: located, for anything that is no schedule.
        """
        default = self._default(option, at)
        current, is_default = default, True
        for given in stack:
            named = self._named(given, None if is_default else current)
            if named is None and given.word is not None:
                if current is None:
                    raise given.error(f"expected {_FORMS}, got {show(given.value)}")
                named = self._changed(current, given)
            elif given.layer.override and current is not None and (named is None or named.name != current.name):
                self._note(current, given)
            if named is None and not nullable(option.hint):
                raise given.error(f"expected {_FORMS}, got null")
            current, is_default = named, False
        return current

    def _default(self, option: Option, at: Given) -> Named | None:
        layer = Layer(f"the default of {option.name}", {})
        given = Given(None, (*at.path, option.name), layer)
        if isinstance(option.default, NamedSchedule):
            arguments = {**self._by_position(option.default.name, list(option.default.args), given)}
            arguments.update({key: given.child(key, value) for key, value in option.default.kwargs.items()})
            return Named(option.default.name, given, {key: [value] for key, value in arguments.items()})
        if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
            return self._constant(given, option.default)
        if option.required or option.default is None:
            return None
        raise UserError(
            f"the default of {option.name} is no named schedule: write named('cosine', ...) in its signature"
        )

    def _named(self, given: Given, current: Named | None) -> Named | None:
        """The schedule if this value names one or is a number; None for null and for bare arguments."""
        word = given.word
        if isinstance(given.value, dict):
            return self._from_mapping(given, current)
        value = given.value.reading if isinstance(given.value, Text) else given.value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._constant(given, given.value)
        if isinstance(word, str):
            return self._merged(word, {}, given, current)
        if word is None:
            return None
        raise given.error(f"expected {_FORMS}, got {show(word)}")

    def _from_mapping(self, given: Given, current: Named | None) -> Named | None:
        children = given.children()
        if "name" in children:
            name = children.pop("name").word
            if not isinstance(name, str):
                raise given.error(f"expected the name of a schedule, got {show(name)}")
            return self._merged(name, children, given, current)
        if len(children) != 1:
            return None
        [(name, arguments)] = children.items()
        if name.rpartition(":")[2] not in self.registry.names("schedule"):
            return None
        if isinstance(arguments.value, dict):
            return self._merged(name, arguments.children(), given, current)
        if arguments.word is None:
            return self._merged(name, {}, given, current)
        values = arguments.value if isinstance(arguments.value, list) else [arguments.value]
        return self._merged(name, self._by_position(name, values, arguments), given, current)

    def _merged(self, name: str, arguments: dict[str, Given], given: Given, current: Named | None) -> Named:
        kept: Stacks = dict(current.options) if current is not None and current.name == name else {}
        return Named(name, given, {**kept, **{key: [value] for key, value in arguments.items()}})

    def _constant(self, given: Given, value: Any) -> Named:
        return self._merged("constant", self._by_position("constant", [value], given), given, None)

    def _changed(self, current: Named, given: Given) -> Named:
        """Bare arguments: checked here, where the schedule that they would change can be said."""
        known = self._arguments(str(current.name), given)
        for key, value in given.children().items():
            if key not in known:
                others = [*known, *self.registry.names("schedule")] if len(given.value) == 1 else known
                raise value.error(f"there is no such argument of the schedule {current.name!r}; {nearest(key, others)}")
        return Named(current.name, given, {**current.options, **{key: [v] for key, v in given.children().items()}})

    def _by_position(self, name: str, values: list[Any], given: Given) -> dict[str, Given]:
        known = self._arguments(name, given)
        if len(values) > len(known):
            raise given.error(f"the schedule {name!r} takes at most {len(known)} arguments ({', '.join(known)})")
        # one number stands for itself: its key is the user's, not the argument's
        if len(values) == 1 and name == "constant":
            return {known[0]: Given(values[0], given.path, given.layer)}
        return {key: given.child(key, value) for key, value in zip(known, values, strict=False)}

    def _arguments(self, name: str, given: Given) -> list[str]:
        try:
            return list(options_of(self.registry.find("schedule", name).load()))
        except UserError as error:
            raise given.error(str(error)) from error

    def _note(self, dropped: Named, given: Given) -> None:
        if dropped.name == "constant" or not dropped.options:
            return
        first = next(iter(dropped.options))
        note = (
            f"{given.key} {show(given.value)} replaces the schedule {dropped.name} (its {', '.join(dropped.options)})"
        )
        if not isinstance(given.value, dict):
            note += f"; {given.key}.{first} {show(given.value)} would change its {first} alone"
        self.notes.append(note)
