"""``sslkit plugins list|show|doctor|new``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.first_line import first_line
from sslkit.cli.words import Words, add_plugin_flags, check_action
from sslkit.errors import UserError, nearest
from sslkit.parts.kinds import KINDS
from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registration, Registry

_EPILOG = """examples:
  sslkit plugins list
  sslkit plugins list teacher
  sslkit plugins show backbone vit
  sslkit plugins doctor                     # imports every plugin, and tells what is wrong with it
  sslkit plugins new sslkit-mymethod        # writes a package with a loss, a teacher rule, a recipe and tests
"""
_ACTIONS = ("list", "show", "doctor", "new")


def run(argv: Sequence[str]) -> int:
    """List the parts that plugins bring, show one part's options, tell what is wrong, or write a new plugin."""
    words = Words("plugins", "The parts that plugins bring, by kind and name; and plugins of your own.", _EPILOG)
    words.usage = "sslkit plugins list [KIND] | show [KIND] NAME | doctor | new PACKAGE [--out DIR]"
    words.add_argument("action", metavar="list|show|doctor|new")
    words.add_argument("words", nargs="*", metavar="KIND NAME")
    add_plugin_flags(words)
    words.add_argument("--out", type=home_path, metavar="DIR", help="new: the folder to write into (default: this one)")
    args = words.parse(argv)
    check_action(args.action, _ACTIONS)
    if args.out is not None and args.action != "new":
        raise UserError(f"sslkit plugins {args.action} writes nothing: leave --out out")
    if args.action == "new":
        return _new(args.words, args.out or Path())
    registry = load_registry(tuple(args.plugin), args.no_plugins)
    if args.action == "doctor":
        return _doctor(registry, args.words)
    if args.action == "list":
        _list(registry, args.words)
    else:
        _show(registry, args.words)
    return 0


def _new(words: list[str], parent: Path) -> int:
    if len(words) != 1:
        raise UserError("name the package, as in `sslkit plugins new sslkit-mymethod`")
    from sslkit.cli.new_plugin import new_plugin

    folder = new_plugin(words[0], parent)
    print(f"{folder} is written. Next:\n  cd {folder}\n  pip install -e . && pytest\n  see its README.md")
    return 0


def _doctor(registry: Registry, words: list[str]) -> int:
    if words:
        raise UserError("sslkit plugins doctor looks at everything: it takes no words")
    from sslkit.cli.doctor import doctor

    lines, problems = doctor(registry)
    print("\n".join([*lines, *problems, f"{len(problems) or 'no'} problem{'s' * (len(problems) != 1)} found"]))
    return 1 if problems else 0


def _list(registry: Registry, words: list[str]) -> None:
    if len(words) > 1:
        raise UserError("sslkit plugins list takes one kind at most")
    for kind in [_kind(word) for word in words] or list(KINDS):
        parts = sorted((part for part in registry.parts if part.kind == kind), key=lambda part: part.name)
        print(f"{kind}: {KINDS[kind].summary}")
        for part in parts:
            print(f"  {part.name:20} {part.plugin:20} {part.distribution:16} {first_line(part)}".rstrip())
        if not parts:
            print("  (none)")
    for complaint in registry.complaints():
        print(complaint, file=sys.stderr)
    for plugin, how in registry.off.items():
        print(f"plugin {plugin!r} is switched off by {how}", file=sys.stderr)


def _kind(word: str) -> str:
    if word not in KINDS:
        raise UserError(f"there is no kind {word!r}; {nearest(word, KINDS)}")
    return word


def _show(registry: Registry, words: list[str]) -> None:
    if len(words) not in (1, 2):
        raise UserError("name a part, as in `sslkit plugins show backbone vit`")
    name = words[-1]
    kinds = [_kind(words[0])] if len(words) == 2 else [kind for kind in KINDS if _has(registry, kind, name)]
    if not kinds:
        names = {part.name for part in registry.parts}
        raise UserError(f"there is no part {name!r}; {nearest(name, names)}")
    from sslkit.cli.describe_part import describe_part

    print("\n\n".join(describe_part(registry.find(kind, name)) for kind in kinds))


def _has(registry: Registry, kind: str, name: str) -> bool:
    def matches(part: Registration) -> bool:
        return part.kind == kind and part.name == name.rpartition(":")[2]

    return any(map(matches, registry.parts))
