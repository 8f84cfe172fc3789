"""The options of a class, from its typed signature."""

from __future__ import annotations

import dataclasses
import inspect
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from sslkit.errors import UserError
from sslkit.parts.effect import Effect
from sslkit.parts.paths import is_path
from sslkit.parts.schedule import Schedule

_WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null",
    Schedule: "a number or a schedule",
}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """A parameter of ``__init__`` that a recipe may set.

    Attributes:
        name: its name.
        hint: its resolved annotation.
        annotation: the same with the mark of paths (:data:`sslkit.parts.PathOption`).
        default: its default; ``inspect.Parameter.empty`` where it must be given.
        effect: what changing it in the middle of a run does, where its author says so.
    """

    name: str
    hint: Any
    annotation: Any
    default: Any
    effect: Effect | None = None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def takes_schedule(self) -> bool:
        """Whether it is a schedule."""
        return Schedule in members(self.hint)


def members(hint: Any) -> tuple[Any, ...]:
    """The types that an annotation joins; itself, if it joins none."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def nullable(hint: Any) -> bool:
    """Whether null is one of its values."""
    return type(None) in members(hint)


def options_of(cls: type, context: frozenset[str] = frozenset()) -> dict[str, Option]:
    """The options of a class, in the order of its signature.

    Args:
        cls: a part or a dataclass of settings.
        context: parameters that the engine fills.

    Raises:
        UserError: if the signature is not one that a recipe can fill: the fault of the part's author.
    """
    try:
        hints = get_type_hints(cls.__init__)  # type: ignore[misc]
        marked = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    except Exception as error:
        raise _faulty(cls, f"its annotations cannot be resolved ({type(error).__name__}: {error})") from error
    factories = {
        field.name: field.default_factory
        for field in (dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ())
        if field.default_factory is not dataclasses.MISSING
    }
    options = {}
    for parameter in parameters:
        name = parameter.name
        if name in context or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name == "name" or name not in hints or not _is_plain(hints[name]):
            raise _faulty(cls, f"its option {name!r} has {_complaint(name, hints)}")
        default = factories[name]() if name in factories else parameter.default
        options[name] = Option(name, hints[name], _without_effect(marked[name]), default, _effect(marked[name]))
    return options


def _effect(hint: Any) -> Effect | None:
    marks = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, Effect)), None)


def _without_effect(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated and not is_path(hint) else hint


def _faulty(cls: type, why: str) -> UserError:
    return UserError(f"the class {cls.__module__}.{cls.__qualname__} cannot be used in recipes: {why}")


def _complaint(name: str, hints: dict[str, Any]) -> str:
    if name == "name":
        return "a name that recipes need for the part's own name"
    if name not in hints:
        return "no annotation"
    return (
        f"the annotation {hints[name]}; recipes hold int, float, bool, str, PathOption, Literal, tuple[...], "
        "list[...], dict[str, ...], Optional of these, or Schedule"
    )


def _is_plain(hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return all(_is_plain(arg) for arg in args)
    if origin is Literal:
        return all(type(arg) in (int, str, bool) for arg in args)
    if origin in (tuple, list):
        return all(arg is Ellipsis or (_is_plain(arg) and arg is not Schedule) for arg in args)
    if origin is dict:
        return args[0] is str and _is_plain(args[1]) and args[1] is not Schedule
    return hint in _WORDS


def describe(hint: Any) -> str:
    """An annotation in words, as error messages and help say it."""
    origin, args = get_origin(hint), get_args(hint)
    if is_path(hint):
        return "a path"
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        shown = ["true" if arg is True else "false" if arg is False else str(arg) for arg in args]
        return f"one of {', '.join(shown)}" if len(shown) > 1 else shown[0]
    if origin is tuple and (not args or args[-1] is not Ellipsis):
        kinds = {describe(arg): None for arg in args}
        return f"a list of {len(args)} values ({', '.join(kinds)})"
    if origin in (tuple, list):
        return f"a list (of {describe(args[0])})"
    if origin is dict:
        return f"a mapping of names to {describe(args[1])}"
    return _WORDS[hint]
