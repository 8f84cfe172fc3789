"""Overrides of a recipe's keys, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from sslkit.errors import UserError
from sslkit.recipe.given import COMMAND_LINE, Layer, Where, on_one_line, show
from sslkit.recipe.plain_data import plain_data
from sslkit.recipe.schema import SECTIONS
from sslkit.recipe.yaml import read_value

PYTHON = "overrides"


@dataclass(frozen=True)
class Override:
    """One key and its new value.

    Attributes:
        key: its path, as in ``head.use_bn``.
        value: a plain Python value; of the command line, the text as typed.
        from_command_line: whether ``value`` is text to be read as YAML.
    """

    key: str
    value: Any
    from_command_line: bool = False

    def layer(self) -> Layer:
        """The override as a source of values.

        Raises:
            UserError: if the key is no path of keys or the value no plain data.
        """
        file, dashes = (COMMAND_LINE, "--") if self.from_command_line else (PYTHON, "")
        where = on_one_line(f"{file}: {dashes}{self.key}")
        if not isinstance(self.key, str) or not all(self.key.split(".")):
            raise UserError(f"{where}: no key of a recipe; write section.key, as in {dashes}train.epochs")
        data = read_value(self.value, where) if self.from_command_line else plain_data(self.value, where)
        path = tuple(self.key.split("."))
        for part in reversed(path):
            data = {part: data}
        words = {path: self.value} if self.from_command_line else {}
        return Layer(file, data, {path: Where(file)}, override=True, words=words)

    def shown(self) -> str:
        """The value as it would be typed."""
        return self.value if isinstance(self.value, str) else show(self.value)

    @property
    def rank(self) -> int:
        """Names come before the options of what they name, wherever they stand in the line."""
        parts = self.key.split(".") if isinstance(self.key, str) else []
        return len(parts) - (parts[-1:] == ["name"])


def override_layers(overrides: Sequence[Override]) -> list[Layer]:
    """The overrides as layers: shorter keys first, so that ``--data.root X --data cifar10`` keeps the root.

    Raises:
        UserError: if a key is no path of keys.
    """
    return [override.layer() for override in sorted(overrides, key=lambda override: override.rank)]


def overrides_from(values: Mapping[str, Any]) -> list[Override]:
    """The overrides of the Python API: ``{"head.use_bn": True}``.

    Raises:
        UserError: for a value that no recipe can hold, or if they are no mapping.
    """
    if not isinstance(values, Mapping):
        raise UserError(
            f"{PYTHON}: expected a mapping of keys to values, as {{'train.epochs': 10}}, got {type(values).__name__}"
        )
    return [Override(key, plain_data(value, f"{PYTHON}: {key}")) for key, value in values.items()]


def split_overrides(
    argv: Sequence[str], flags: Collection[str], sections: Collection[str] = tuple(SECTIONS)
) -> tuple[list[str], list[Override]]:
    """Take ``--a.b.c VALUE`` and ``--a.b.c=VALUE`` out of a command line, wherever they stand.

    Args:
        argv: the words after the subcommand.
        flags: the subcommand's own flags, which stay.
        sections: the recipe's sections that may be overridden.

    Returns:
        the words that stay, and the overrides.

    Raises:
        UserError: for a flag that is neither, and for an override without a value.
    """
    rest: list[str] = []
    overrides: list[Override] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if word == "--":
            return rest + words, overrides
        if not flag.startswith("--") or flag in flags:
            rest.append(word)
            continue
        if flag[2:].split(".")[0] not in sections:
            section = flag[2:].split(".")[0]
            # here: only a mistake needs the names of parts
            from sslkit.recipe.flag_hints import flag_hint

            hint = flag_hint(flag, flags, sections)
            sentence = f"{flag}: there is no such flag or section; {hint}"
            if section in SECTIONS:
                sentence = f"{flag}: the section {section} of a finished run cannot be changed"
                sentence += f"; {hint}" if "." not in flag and not hint.startswith("known") else ""
            raise UserError(on_one_line(f"{COMMAND_LINE}: {sentence}"))
        if not equals:
            if not words or words[0].startswith("--"):
                raise UserError(f"{COMMAND_LINE}: {flag}: it needs a value, as in `{flag} VALUE` or `{flag}=VALUE`")
            value = words.pop(0)
            _check_whole(flag, value, words)
        overrides.append(Override(flag[2:], value, from_command_line=True))
    return rest, overrides


def _check_whole(flag: str, value: str, following: Sequence[str]) -> None:
    """Whether a shell has not split a list or a mapping at its blanks.

    Raises:
        UserError: with the quotes that keep it whole.
    """
    for count in range(1, len(following) + 1 if _open(value) else 0):
        if not _open(joined := " ".join([value, *following[:count]])):
            raise UserError(f"{COMMAND_LINE}: {flag}: a value is one word: write it in quotes: {flag} {quote(joined)}")


def _open(text: str) -> bool:
    """Whether a list or a mapping begins here and does not end."""
    return text[:1] in ("[", "{", "(") and sum(map(text.count, "[{(")) > sum(map(text.count, "]})"))
