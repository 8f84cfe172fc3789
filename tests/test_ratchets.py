"""Habits that only ever get stricter: what may be written where, and how long it may be."""

from __future__ import annotations

import ast
import inspect
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docstring_parser import parse

from sslkit.ablation.read import is_grid
from sslkit.parts.kinds import KINDS
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registration
from sslkit.recipe.load import load_recipe

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGIN_SETS = sorted(PROJECT["project"]["entry-points"]["sslkit"].values())

LONGEST_FILE = 300
LONGEST_FUNCTION = 45
LONGEST_STEP = 45  # the reference's train_one_epoch has 59
MEDIAN_FILE = 100

METHODS = ("dino", "simclr", "moco", "byol", "simsiam", "swav", "barlow", "vicreg", "ibot")
#: Names that are too short to be looked for inside words.
SHORT_METHODS = ("mae",)
DRAWERS = {"utils", "util", "common", "misc", "helpers", "helper"}
HEAVY = {"torch", "torchvision", "timm", "pandas", "matplotlib", "sklearn", "tensorboard"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


SSLKIT = python_files("sslkit")
SHIPPED = python_files("sslkit", "plugins")
ALL_CODE = python_files("sslkit", "plugins", "tests", "benchmarks")
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def in_files(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=shown)


def test_the_walks_found_files() -> None:
    assert len(SSLKIT) > 50
    assert len(SHIPPED) > len(SSLKIT) + 20
    assert len(RECIPES) >= 4


# --- no method's name in the engine ---------------------------------------------------------------------------


def words_of_code(tree: ast.AST) -> Iterator[str]:
    """Identifiers and strings that act; docstrings and other bare strings do not."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value


def method_names(source: str) -> set[str]:
    text = " ".join(words_of_code(ast.parse(source))).lower()
    words = set(re.split(r"[^a-z0-9]+", text))
    return {name for name in METHODS if name in text} | words.intersection(SHORT_METHODS)


def test_method_names_are_seen_where_they_act_and_only_there() -> None:
    assert method_names('"""As DINO does."""\nmaestro = 1  # MAE') == set()
    assert method_names("class DINOLoss: ...") == {"dino"}
    assert method_names("if method == 'simclr': pass") == {"simclr"}
    assert method_names("import sslkit_dino.mae_head as x") == {"dino", "mae"}


@in_files(SSLKIT)
def test_sslkit_names_no_method(file: Path) -> None:
    found = method_names(file.read_text())
    assert not found, f"{shown(file)} names {sorted(found)}: a method belongs into a plugin; mend the contract instead"


# --- size ------------------------------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


@in_files(ALL_CODE)
def test_files_and_functions_are_short(file: Path) -> None:
    source = file.read_text()
    lines = source.count("\n")
    assert lines <= LONGEST_FILE, (
        f"{shown(file)} has {lines} lines, more than {LONGEST_FILE}: which two jobs does it do?"
    )
    long = {f.name: length(f) for f in functions(ast.parse(source)) if length(f) > LONGEST_FUNCTION}
    assert not long, f"{shown(file)}: {long} lines, more than {LONGEST_FUNCTION}"


def test_the_median_file_is_short() -> None:
    median = statistics.median(len(text.splitlines()) for file in SHIPPED if (text := file.read_text()))
    assert median <= MEDIAN_FILE


def test_the_training_step_fits_on_one_screen() -> None:
    tree = ast.parse((ROOT / "sslkit/engine/step.py").read_text())
    assert length(next(f for f in functions(tree) if f.name == "training_step")) <= LONGEST_STEP


# --- what costs no torch -----------------------------------------------------------------------------------------


def imported_by(*arguments: str, cwd: Path, env: dict[str, str]) -> tuple[int, set[str]]:
    """Exit code and all modules that ``python -m sslkit ARGUMENTS`` imports."""
    command = [sys.executable, "-X", "importtime", "-m", "sslkit", *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return done.returncode, {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("fit --help", 0),
        ("plugins list", 0),
        ("recipes list", 0),
        ("fit --recipe typo.yaml", 2),
        ("fit --recipe quickstart --teacher emma", 2),
        ("fit --recipe quickstart --trian.epochs 3", 2),
    ],
)
def test_light_commands_import_no_torch(words: str, code: int, tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    (tmp_path / "typo.yaml").write_text("seed: 0\ndata: {name: digits}\nbackbone: {name: vitt}\n")
    returned, modules = imported_by(*words.split(), cwd=tmp_path, env=subprocess_env)
    assert returned == code
    assert "pluggy" in modules, "the imports were not seen at all"
    assert not modules & HEAVY


# --- documentation -------------------------------------------------------------------------------------------------


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public classes, functions and methods without a docstring; nested ones are nobody's business."""
    if ast.get_docstring(tree) is None and tree.body:
        yield "the module itself"
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield node.name
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(member, Function) and not member.name.startswith("_") and ast.get_docstring(member) is None:
                yield f"{node.name}.{member.name}"


@in_files(SHIPPED)
def test_everything_public_is_documented(file: Path) -> None:
    missing = list(undocumented(ast.parse(file.read_text())))
    assert not missing, f"{shown(file)}: no docstring on {', '.join(missing)}"


def own_parts() -> list[Registration]:
    return [part for part in load_registry().parts if part.plugin in PLUGIN_SETS]


@pytest.mark.parametrize("part", own_parts(), ids=lambda part: f"{part.kind}-{part.name}")
def test_every_option_of_a_part_is_annotated_and_documented(part: Registration) -> None:
    cls = part.load()
    assert cls.__doc__, f"{cls.__qualname__} needs a docstring: it is the part's help text"
    described = {entry.arg_name for entry in parse(cls.__doc__).params if entry.description}
    for option in inspect.signature(cls).parameters.values():
        if option.name in KINDS[part.kind].context:
            continue
        assert option.kind not in (option.VAR_POSITIONAL, option.VAR_KEYWORD), "options are named one by one"
        assert option.annotation is not option.empty, f"{cls.__qualname__}: {option.name} has no annotation"
        assert option.name in described, f"{cls.__qualname__}: {option.name} is not described under Args:"


# --- small vices ---------------------------------------------------------------------------------------------------


def silent_handlers(tree: ast.AST) -> list[int]:
    """Lines of handlers that catch everything and do nothing."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        and all(isinstance(line, ast.Pass | ast.Continue) or _is_bare(line) for line in node.body)
    ]


def _is_bare(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def test_vices_and_lengths_are_seen() -> None:
    quiet = "try:\n  f()\nexcept Exception:\n  pass\ntry:\n  f()\nexcept:\n  ...\n"
    assert silent_handlers(ast.parse(quiet)) == [3, 7]
    assert silent_handlers(ast.parse("try:\n  f()\nexcept OSError:\n  pass")) == []
    bare = '"""Doc."""\nclass A:\n  """Doc."""\n  def b(self): ...\n  def _c(self): ...\ndef d(): ...'
    assert list(undocumented(ast.parse(bare))) == ["A.b", "d"]
    function = ast.parse('def f():\n  """One\n\n  Two."""\n  x = 1\n\n  return x').body[0]
    assert isinstance(function, Function)
    assert length(function) == 4


@in_files(SHIPPED)
def test_no_vices(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert file.stem not in DRAWERS, f"{shown(file)}: name it after its one job"
    assert not silent_handlers(tree), f"{shown(file)} swallows every error in lines {silent_handlers(tree)}"
    if not shown(file).startswith(("sslkit/cli/", "sslkit/report/")):
        calls = [
            node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and _names(node.func) == {"print"}
        ]
        assert not calls, f"{shown(file)} prints in lines {calls}: only the command line and the report talk"


def _names(node: ast.expr) -> set[str]:
    return {node.id} if isinstance(node, ast.Name) else set()


@pytest.mark.parametrize("module", PLUGIN_SETS)
def test_entry_point_modules_import_next_to_nothing(module: str) -> None:
    tree = ast.parse((ROOT / "plugins" / module / "__init__.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {n.module if isinstance(n, ast.ImportFrom) else a.name for n in imports for a in n.names}
    assert named <= {"__future__", "typing", "sslkit"}


# --- recipes -------------------------------------------------------------------------------------------------------


@in_files(RECIPES)
def test_shipped_recipes_open_like_a_lab_note_and_load(file: Path) -> None:
    lines = file.read_text().splitlines()
    note = "\n".join(lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])
    assert "sslkit " in note, "the comment on top tells the command"
    assert "Source:" in note, "the comment on top tells the source"
    # that the cells of grids load: tests/test_ablate.py
    assert is_grid(file) or load_recipe(file).resolved["seed"] == 0
