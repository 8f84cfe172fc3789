"""What ``eval``, ``embed`` and ``export`` share: a trained backbone, named as a run or as a file of weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslkit.cli.words import Words, add_plugin_flags
from sslkit.errors import UserError
from sslkit.parts.paths import home_path

if TYPE_CHECKING:
    from sslkit.plugins.registry import Registry
    from sslkit.recipe.overrides import Override
    from sslkit.report.judged import Judged


def add_trained(words: Words) -> None:
    """The flags that name a net, a file and plugins."""
    add = words.add_argument
    add("--weights", type=home_path, metavar="FILE", help="a file of weights instead of a run; with --backbone ...")
    add("--which", choices=("teacher", "student"), help="the net (default: the teacher, where there is one)")
    add_plugin_flags(words)


def named_trained(args: argparse.Namespace, command: str) -> Path:
    """The run or the file that the words name.

    Raises:
        UserError: if they name none.
    """
    path: Path | None = args.weights or args.run
    if path is None:
        raise UserError(
            f"sslkit {command}: name a run, or --weights FILE --backbone ...; see `sslkit {command} --help`"
        )
    return path


def check_sections(args: argparse.Namespace, overrides: Sequence[Override]) -> None:
    """A run's backbone is what it is: its section can be given for a file alone.

    Raises:
        UserError: if it is given for a run.
    """
    for override in overrides:
        if args.weights is None and override.key.split(".")[0] == "backbone":
            raise UserError(f"--{override.key}: the section backbone of a finished run cannot be changed")


def load_trained(args: argparse.Namespace, overrides: Sequence[Override], registry: Registry) -> Judged:
    """The backbone that the words name, with its weights."""
    from sslkit.report.judged import judged_file, judged_run

    load = judged_run if args.weights is None else judged_file
    return load(args.weights or args.run, args.which, overrides, registry)
