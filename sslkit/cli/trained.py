"""What ``eval``, ``embed`` and ``export`` share: a trained backbone, named as a run or as a file of weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from sslkit.cli.words import Words, add_plugin_flags
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.report.trained import Trained


def add_trained(words: Words) -> None:
    """The flags that name a net, a file and plugins."""
    add = words.add_argument
    add("--weights", type=home_path, metavar="FILE", help="a file of weights instead of a run; with --backbone ...")
    add("--which", choices=("teacher", "student"), help="the net (default: the teacher, where there is one)")
    add_plugin_flags(words)


def named_trained(args: argparse.Namespace, command: str) -> Trained:
    """The run or the file that the words name, and the plugins that are loaded for it.

    Raises:
        UserError: if they name none.
    """
    path: Path | None = args.weights or args.run
    if path is None:
        raise UserError(
            f"sslkit {command}: name a run, or --weights FILE --backbone ...; see `sslkit {command} --help`"
        )
    registry = load_registry(tuple(args.plugin), args.no_plugins)
    return Trained(path, args.weights is not None, args.which, registry)
