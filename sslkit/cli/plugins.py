"""``sslkit plugins list|show|doctor|new``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from sslkit.cli.first_line import first_line
from sslkit.cli.words import Words, add_plugin_flags, check_action
from sslkit.errors import UserError, nearest
from sslkit.parts.kinds import KINDS
from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registration, Registry
from sslkit.recipe.schema import SECTIONS

_EPILOG = """examples:
  sslkit plugins list
  sslkit plugins list teacher
  sslkit plugins show backbone vit
  sslkit plugins show train                 # a section of recipes: its keys, or the parts that it may name
  sslkit plugins doctor                     # imports every plugin, and tells what is wrong with it
  sslkit plugins new sslkit-mymethod        # writes a package with a loss, a teacher rule, a recipe and tests
"""
_ACTIONS = ("list", "show", "doctor", "new")


def run(argv: Sequence[str]) -> int:
    """List the parts that plugins bring, show one part's options, tell what is wrong, or write a new plugin."""
    words = Words("plugins", "The parts that plugins bring, by kind and name; and plugins of your own.", _EPILOG)
    words.usage = "sslkit plugins list [KIND] | show [KIND] NAME | show SECTION | doctor | new PACKAGE [--out DIR]"
    words.add_argument("action", metavar="list|show|doctor|new")
    words.add_argument("words", nargs="*", metavar="KIND NAME")
    add_plugin_flags(words)
    words.add_argument("--out", type=home_path, metavar="DIR", help="new: the folder to write into (default: this one)")
    args = words.parse(argv)
    kinds_or_sections = {
        **dict.fromkeys(SECTIONS, "sslkit plugins show"),
        **dict.fromkeys(KINDS, "sslkit plugins list"),
    }
    check_action(args.action, _ACTIONS, kinds_or_sections.get(args.action, ""))
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
    print(f"{folder} is written. Next:\n  cd {quote(str(folder))}\n  pip install -e . && pytest\n  see its README.md")
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
        raise UserError("name a part or a section of recipes, as in `sslkit plugins show backbone vit`")
    if len(words) == 2:
        _show_parts(registry, *_kind_and_name(registry, *words))
        return
    name = words[0]
    section = name.removeprefix("--").partition(".")[0]
    kinds = [kind for kind in KINDS if _has(registry, kind, name)]
    if not kinds and section not in SECTIONS:
        known = {*(part.name for part in registry.parts), *SECTIONS}
        if name in KINDS:
            raise UserError(f"which {name}? {nearest('', registry.names(name))}")
        raise UserError(f"there is no part {name!r}, nor such a section of recipes; {nearest(name, known)}")
    if section in SECTIONS:
        from sslkit.cli.describe_section import describe_key

        print(describe_key(name, registry), end="\n\n" if kinds else "\n")
    _show_parts(registry, kinds, name)


def _show_parts(registry: Registry, kinds: Sequence[str], name: str) -> None:
    from sslkit.cli.describe_part import describe_part

    if kinds:
        print("\n\n".join(describe_part(registry.find(kind, name)) for kind in kinds))


def _kind_and_name(registry: Registry, kind: str, name: str) -> tuple[list[str], str]:
    """What two words name: kind and name in either order, or a section and a name (``augment multicrop``)."""
    if kind not in KINDS and name in KINDS and _has(registry, name, kind):
        return [name], kind
    if kind not in KINDS and kind in SECTIONS and SECTIONS[kind].kind:
        return [SECTIONS[kind].kind], name
    return [_kind(kind)], name


def _has(registry: Registry, kind: str, name: str) -> bool:
    def matches(part: Registration) -> bool:
        return part.kind == kind and part.name == name.rpartition(":")[2]

    return any(map(matches, registry.parts))
