"""The argument parser of every subcommand: errors are sentences, abbreviations are refused."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from shlex import quote
from typing import NoReturn

from sslkit.errors import UserError, nearest
from sslkit.parts.paths import home_path


class Words(argparse.ArgumentParser):
    """Parses a subcommand's fixed words; overrides have been taken out before."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"sslkit {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        #: The recipe's sections that the subcommand takes overrides of, for hints.
        self.sections: Collection[str] = ()

    def error(self, message: str) -> NoReturn:
        """One sentence and no usage text."""
        stray = message.removeprefix("unrecognized arguments: ")
        is_number = stray != message and stray.replace(" ", "").replace(".", "").replace(",", "").isdigit()
        hint = "; a list is one word, in quotes: '[5, 7]'" if is_number else ""
        if stray != message and re.match(r"[a-z_]+(\.\w+)*=", stray):
            hint = f"; an override begins with two dashes: --{stray.partition(' ')[0]}"
        raise UserError(f"{self.prog}: {message}{hint}; see `{self.prog} --help`")

    @property
    def flags(self) -> list[str]:
        """The subcommand's own flags."""
        return [flag for action in self._actions for flag in action.option_strings]

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse words of which none is left over.

        Raises:
            UserError: for an unknown flag, with the nearest one.
        """
        flags = [word.partition("=")[0] for word in argv if _is_flag(word)]
        for flag in flags:
            if flag not in self.flags and not flag[1:2].isdigit():
                # here: only a mistake needs the names of parts
                from sslkit.recipe.flag_hints import flag_hint

                raise UserError(f"{self.prog}: there is no flag {flag}; {flag_hint(flag, self.flags, self.sections)}")
        for action in self._actions:
            count = sum(flags.count(flag) for flag in action.option_strings)
            if count > 1 and not isinstance(action.default, list):
                raise UserError(f"{self.prog}: {action.option_strings[0]} is given {count} times; give it once")
        # intermixed: options may stand between the words
        return self.parse_intermixed_args(list(argv))


def _is_flag(word: str) -> bool:
    """Whether a word is meant as a flag, right or wrong: argparse too takes one with a blank in it for a value."""
    return word.startswith("-") and len(word) > 1 and " " not in word.partition("=")[0]


def add_plugin_flags(words: Words) -> None:
    """The flags that say which plugins are loaded."""
    add = words.add_argument
    add("--plugin", type=home_path, action="append", default=[], metavar="FILE.py",
        help="also load a single-file plugin")  # fmt: skip
    add("--no-plugins", action="append", default=[], metavar="NAME", dest="no_plugins",
        help="leave an installed plugin out, by its name or its distribution's")  # fmt: skip


def positive(text: str) -> int:
    """The type of a flag that counts."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def check_action(action: str, known: Sequence[str], complete: str = "") -> None:
    """Reject an unknown action.

    Args:
        action: as typed.
        known: the actions there are.
        complete: the command that takes such a word, where the action was left out: ``sslkit recipes show``.

    Raises:
        UserError: with the nearest of them.
    """
    if action not in known and complete:
        raise UserError(f"the action comes first: {complete} {quote(action)}")
    if action not in known:
        raise UserError(f"there is no action {action!r}; {nearest(action, known)}")
