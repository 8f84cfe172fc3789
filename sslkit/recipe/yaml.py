"""Reads a recipe's YAML: plain data, and the line of every key.

A smaller YAML than PyYAML's, without its surprises: ``1e-3`` is a number; only ``true`` and ``false`` are booleans
(``no``, ``on`` and ``yes`` are text); ``010`` and ``1:30`` are text, never octal or base 60; dates are text; there
are no tags, no merge keys and no duplicate keys, and aliases cannot blow up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml
from yaml.composer import ComposerError

from sslkit.errors import UserError
from sslkit.recipe.given import Text, Where, on_one_line

_MAX_DEPTH = 50
_MAX_NODES = 20_000

#: How unquoted scalars are read; what matches none of them is text.
SCALARS: dict[str, re.Pattern[str]] = {
    "tag:yaml.org,2002:null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "tag:yaml.org,2002:bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
}
_READ: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(re.sub(r"\.(?=inf|nan)", "", text.lower())),
    "tag:yaml.org,2002:str": str,
}


class RecipeLoader(yaml.SafeLoader):
    """Composes nodes with the scalars above; refuses every explicit tag."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc] # PyYAML's is a class's own too

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node, if it carries no tag."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            problem = f"tags such as {event.tag!r} have no place in a recipe"
            raise ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type]
        return super().compose_node(parent, index)


for _tag, _pattern in SCALARS.items():
    RecipeLoader.add_implicit_resolver(_tag, _pattern, None)


@dataclass
class Document:
    """A YAML file's plain data and where its keys stand.

    Attributes:
        file: how messages call it.
        data: the mapping.
        marks: file and line of each key, by its path of keys.
    """

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    marks: dict[tuple[str, ...], Where] = field(default_factory=dict)


def read_yaml(text: str, file: str) -> Document:
    """Read a recipe's text.

    Raises:
        UserError: ``file:line`` and what is wrong, if it is not a mapping of plain data.
    """
    try:
        node = yaml.compose(text, Loader=RecipeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise _syntax_error(error, file) from error
    document = Document(file)
    if node is None:
        raise UserError(f"{file}: the recipe is empty; `sslkit recipes show quickstart` prints one to start from")
    if not isinstance(node, yaml.MappingNode):
        raise UserError(
            f"{Where(file, node.start_mark.line + 1)}: a recipe is a mapping of sections (`train: {{epochs: 10}}`, ...)"
        )
    document.data = _Reader(file, document.marks).mapping(node, (), 0)
    return document


class _KeyIsNoText(UserError):
    """A mapping has a key that is no text."""


def read_value(text: str, where: str) -> Any:
    """Read a value of the command line: an unquoted scalar as :class:`Text`, anything else as plain data.

    What is no YAML of a recipe, such as ``*star`` or ``{1: 2}``, is text: it may be a file's name.

    Raises:
        UserError: if the value is a mapping that gives a key twice, or is nested too deep.
    """
    try:
        node = yaml.compose(text, Loader=RecipeLoader)
    except (yaml.YAMLError, RecursionError):
        return Text(text, text)
    if node is None:
        return Text(text, text)
    try:
        value = _Reader(where, {}, numbered=False).value(node, (), 0)
    except _KeyIsNoText:
        return Text(text, text)
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return value
    # `&a` is an anchor without a value: null, and nobody has written that
    return Text(text, text if value is None and node.value != text.strip() else value)


@dataclass
class _Reader:
    """Turns nodes into plain data, and keeps the lines of keys (a command-line value has no lines)."""

    file: str
    marks: dict[tuple[str, ...], Where]
    numbered: bool = True
    nodes: int = 0

    def where(self, node: yaml.Node) -> Where:
        return Where(self.file, node.start_mark.line + 1 if self.numbered else 0)

    def value(self, node: yaml.Node, path: tuple[str, ...], depth: int) -> Any:
        self.nodes += 1
        if self.nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise UserError(f"{self.where(node)}: too large for a recipe (nesting or repeated aliases)")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, path, depth + 1) for item in node.value]
        return self.scalar(node)

    def scalar(self, node: yaml.Node) -> Any:
        try:
            return _READ[node.tag](node.value)
        except ValueError:  # an int of thousands of digits
            raise UserError(f"{self.where(node)}: a number with too many digits") from None

    def mapping(self, node: yaml.MappingNode, path: tuple[str, ...], depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        seen: dict[str, Where] = {}
        for key_node, value_node in node.value:
            where = self.where(key_node)
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise _KeyIsNoText(f"{where}: {_dotted(path)}keys are text; quote this one if it is meant as it stands")
            if key in seen:
                first = f" (first in line {seen[key].line})" if seen[key].line else ""
                raise UserError(f"{where}: {_dotted((*path, key))}given twice{first}; keep one of them")
            seen[key] = where
            self.marks[(*path, key)] = where
            data[key] = self.value(value_node, (*path, key), depth + 1)
        return data


def _dotted(path: tuple[str, ...]) -> str:
    return on_one_line(f"{'.'.join(path)}: ") if path else ""


def _syntax_error(error: yaml.YAMLError | RecursionError, file: str) -> UserError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = Where(file, mark.line + 1 if mark else 0)
        problem = error.problem or "it ends too early"
        if "'\\t'" in problem:
            problem = "indent with spaces, not with tabs"
        return UserError(on_one_line(f"{where}: not valid YAML: {problem}"))
    if isinstance(error, RecursionError):
        return UserError(f"{file}: nested too deep for a recipe")
    return UserError(f"{file}: not valid YAML: {str(error).splitlines()[0]}")
