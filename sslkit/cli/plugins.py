"""``sslkit plugins list|show``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.first_line import first_line
from sslkit.cli.words import Words, check_action
from sslkit.errors import UserError, nearest
from sslkit.parts.kinds import KINDS
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registration, Registry

_EPILOG = """examples:
  sslkit plugins list
  sslkit plugins list teacher
  sslkit plugins show backbone vit
"""


def run(argv: Sequence[str]) -> int:
    """List the parts that plugins bring, or show one part's options."""
    words = Words("plugins", "The parts that plugins bring, by kind and name.", _EPILOG)
    words.usage = "sslkit plugins list [KIND] | sslkit plugins show [KIND] NAME"
    words.add_argument("action", metavar="list|show")
    words.add_argument("words", nargs="*", metavar="KIND NAME")
    words.add_argument("--plugin", type=Path, action="append", default=[], metavar="FILE.py", help="also load this one")
    args = words.parse(argv)
    check_action(args.action)
    registry = load_registry(tuple(args.plugin))
    if args.action == "list":
        _list(registry, args.words)
    else:
        _show(registry, args.words)
    return 0


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
