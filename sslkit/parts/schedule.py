"""The contract of a schedule: a pure function of the position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sslkit.parts.position import Position


class Schedule(ABC):
    """A number for every step of a run.

    An option annotated with ``Schedule`` takes, in a recipe, a number (constant), ``{cosine: [0.996, 1]}``
    (a registered schedule and its arguments in order) or ``{name: cosine, start: 0.996, end: 1}``.
    """

    @abstractmethod
    def __call__(self, at: Position) -> float:
        """The value at a position; a pure function, in float64."""

    @abstractmethod
    def scaled(self, factor: float) -> Schedule:
        """The same schedule with its peak multiplied (a learning rate per 256 images, for another batch)."""


class NamedSchedule(Schedule):
    """A default that names a registered schedule, for signatures: ``momentum: Schedule = named("cosine", 0.9, 1)``.

    A recipe resolves it to the schedule itself before the part is built.
    """

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs

    def __call__(self, at: Position) -> float:
        """Refused: the name alone has no value."""
        raise TypeError(f"{self!r} only names a schedule: pass a Schedule, or build this part from a recipe")

    def scaled(self, factor: float) -> Schedule:
        """Refused: the name alone has no peak."""
        raise TypeError(f"{self!r} only names a schedule: pass a Schedule, or build this part from a recipe")

    def __repr__(self) -> str:
        args = [repr(arg) for arg in self.args] + [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(args)})"


def named(name: str, *args: Any, **kwargs: Any) -> Schedule:
    """The registered schedule ``name`` with these arguments, as an option's default."""
    return NamedSchedule(name, *args, **kwargs)
