"""The help of a recipe's sections: every key with its type, default and documented sentence. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from sslkit.cli.option_lines import documentation, option_lines
from sslkit.errors import UserError, nearest
from sslkit.plugins.registry import Registry
from sslkit.recipe.checks import LossWeight, Seed
from sslkit.recipe.schema import BASE, DEFAULT_WATCH, SECTIONS, Section
from sslkit.recipe.settings import EvaluateWhen, ParamRule
from sslkit.recipe.signature import options_of

#: The engine's keys that stand beside a part's options, in a rule, or alone.
_BESIDE: dict[str, type] = {
    "seed": Seed,
    "losses": LossWeight,
    "evaluate": EvaluateWhen,
    "param_groups": ParamRule,
}


def engine_keys(section: Section) -> type | None:
    """The dataclass of a section's keys that belong to the engine; None where all of them are a part's options."""
    return section.settings or _BESIDE.get(section.name)


def describe_key(key: str | None, registry: Registry) -> str:
    """The help of a section, or of one of its keys.

    Args:
        key: such as ``train`` or ``train.epochs``; None: all sections.
        registry: for the names of parts.

    Raises:
        UserError: if there is no such section or key.
    """
    if key is None:
        return "\n\n".join([f"base: {BASE}", *(describe_section(section, registry) for section in SECTIONS.values())])
    if key == "base":
        return f"base: {BASE}"
    name, dot, inner = key.removeprefix("--").partition(".")
    if name not in SECTIONS:
        # here: only a mistake needs the options of all parts
        from sslkit.recipe.flag_hints import homes_of

        hint = next((f"did you mean {home!r}?" for home in homes_of(name)), nearest(name, [*SECTIONS, "base"]))
        raise UserError(f"there is no section {name!r}; {hint}")
    if not dot:
        return describe_section(SECTIONS[name], registry)
    return _describe_one(SECTIONS[name], inner.rpartition(".")[2])


def describe_section(section: Section, registry: Registry) -> str:
    """The help text of a section."""
    needed = ", required" if section.required else ""
    lines = [f"{section.name}: {section.summary}", f"  holds {section.shape.value}{needed}"]
    if section.kind:
        lines += list(_parts(section, registry))
    keys = engine_keys(section)
    if keys is not None:
        title = "keys beside a part's options:" if section.kind else "keys:"
        about = documentation(keys).short_description
        lines += ["", title, *([f"  {about}"] if about else []), *option_lines(keys)]
    return "\n".join(lines)


def _parts(section: Section, registry: Registry) -> Iterator[str]:
    names = registry.names(section.kind)
    yield ""
    yield f"parts of the kind {section.kind!r}:"
    yield from wrap(", ".join(names) or "(none)", width=100, initial_indent="  ", subsequent_indent="  ")
    if section.name == "watch":
        yield f"  of every run, unless null removes it: {', '.join(DEFAULT_WATCH)}"
    if names:
        yield f"  the options of one: `sslkit plugins show {section.kind} {names[0]}`"


def _describe_one(section: Section, key: str) -> str:
    keys = engine_keys(section)
    known = list(options_of(keys)) if keys is not None else []
    if keys is not None and key in known:
        return "\n".join([f"{section.name}: {section.summary}", "", *option_lines(keys, only=key)])
    part = f"; a part's options: `sslkit plugins show {section.kind} NAME`" if section.kind else ""
    hint = f"; {nearest(key, known)}" if known else ""
    raise UserError(f"the section {section.name!r} has no key {key!r} of its own{hint}{part}")
