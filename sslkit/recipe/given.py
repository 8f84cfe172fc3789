"""A value that a user gave, and where: what every error message of a recipe is located by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sslkit.errors import UserError

COMMAND_LINE = "command line"


class Where(NamedTuple):
    """The file and the 1-based line of a key; line 0 where there is none (command line, Python)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Text(NamedTuple):
    """An unquoted scalar of the command line: as typed, and as YAML reads it. The option's type picks one."""

    raw: str
    reading: Any


@dataclass(frozen=True)
class Layer:
    """One source of values: a file, a mapping, one override, or the defaults.

    Attributes:
        file: how messages call it.
        data: its values, by section.
        marks: where each key stands, by path.
        override: whether it comes from the command line or from the ``overrides`` of the Python API.
        words: values of the command line as typed, by path.
    """

    file: str
    data: Mapping[str, Any]
    marks: Mapping[tuple[str, ...], Where] = field(default_factory=dict)
    override: bool = False
    words: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def root(self) -> Given:
        """Everything that this layer gives."""
        return Given(self.data, (), self)


@dataclass(frozen=True)
class Given:
    """A value of a layer, at its path of keys."""

    value: Any
    path: tuple[str, ...]
    layer: Layer

    @property
    def where(self) -> Where:
        """The file and line of its key, or of the nearest key around it."""
        for end in range(len(self.path), 0, -1):
            if self.path[:end] in self.layer.marks:
                return self.layer.marks[self.path[:end]]
        return Where(self.layer.file)

    @property
    def key(self) -> str:
        """Its key as the user writes it: ``head.out_dim``, on the command line ``--head.out_dim``."""
        return ("--" if self.layer.file == COMMAND_LINE else "") + ".".join(self.path)

    @property
    def place(self) -> str:
        """Where its value stands, as ``recipe.yaml:12: head.out_dim``."""
        return f"{self.where}: {self.key}"

    @property
    def section(self) -> str:
        """Where its part stands, as ``recipe.yaml:12 (head)``."""
        return f"{self.where} ({self.key})"

    @property
    def typed(self) -> str | None:
        """The value as typed on the command line; None for values from elsewhere and for parts of a value."""
        return self.layer.words.get(self.path)

    @property
    def word(self) -> Any:
        """The value where a name is expected: command-line text as typed, unless it is null."""
        if isinstance(self.value, Text):
            return None if self.value.reading is None else self.value.raw
        return self.value

    def children(self) -> dict[str, Given]:
        """The values of a mapping, by key."""
        return {key: self.child(key, value) for key, value in self.value.items()}

    def child(self, key: str, value: Any) -> Given:
        """A value below this one."""
        return Given(value, (*self.path, key), self.layer)

    def error(self, sentence: str) -> UserError:
        """The sentence, located: ``file:line: key: sentence``."""
        key = f"{self.key}: " if self.path else ""
        return UserError(on_one_line(f"{self.where}: {key}{sentence}"))


def on_one_line(text: str) -> str:
    """A message that holds keys, names or texts of others: line ends become blanks, what is invisible is escaped."""
    joined = " ".join(text.splitlines())
    return joined if joined.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in joined)


def show(value: Any) -> str:
    """A value in a message, in the recipe's spelling and never long."""
    if isinstance(value, Text):
        value = value.reading if value.reading is not None else value.raw
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a number with thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
