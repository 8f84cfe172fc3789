"""pyproject.toml and its neighbours say the same thing."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sslkit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETS = sorted(file.parent.name for file in (ROOT / "plugins").glob("*/__init__.py"))


def test_every_plugin_set_has_an_entry_point() -> None:
    assert SETS
    assert {name: name for name in SETS} == PROJECT["project"]["entry-points"]["sslkit"]


def test_the_installed_metadata_has_the_entry_points() -> None:
    installed = {point.name for point in entry_points(group="sslkit") if point.dist and point.dist.name == "sslkit"}
    assert installed == set(SETS), "install again after changing pyproject.toml: pip install -e ."


def test_every_plugin_set_is_in_the_wheel() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == {"sslkit", *(f"plugins/{name}" for name in SETS)}
    assert wheel["force-include"] == {"recipes": "sslkit/recipes"}


def test_the_wheel_takes_data_files_along() -> None:
    # hatchling takes every file of a package that git does not ignore
    folder = ROOT / "plugins" / "sslkit_vision"
    files = [folder / "clipart.zip", folder / "clipart.md"]
    assert all(file.is_file() for file in files)
    ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""


def test_every_plugin_set_is_under_the_import_contracts() -> None:
    linter = PROJECT["tool"]["importlinter"]
    assert set(linter["root_packages"]) == {"sslkit", *SETS}
    contracts = linter["contracts"]
    assert set(contracts[1]["forbidden_modules"]) == set(SETS)
    assert set(contracts[2]["source_modules"]) == set(SETS)
    assert set(contracts[3]["modules"]) == set(SETS)


def test_every_folder_of_sslkit_has_its_layer() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    folders = {f"sslkit.{file.parent.name}" for file in (ROOT / "sslkit").glob("*/__init__.py")}
    assert {name for layer in layers for name in layer.split(" | ")} == folders | {"sslkit.errors"}


def test_the_console_script_exists() -> None:
    module, _, function = PROJECT["project"]["scripts"]["sslkit"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_one_version_everywhere() -> None:
    newest = re.search(r"^## \[?(\d[^\] ]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["project"]["version"] == sslkit.__version__ == version("sslkit")


def _requirements() -> list[Requirement]:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    return [Requirement(line) for line in [*project["dependencies"], *extras["test"], *extras["dev"]]]


@pytest.mark.parametrize("wanted", [r for r in _requirements() if r.name != "sslkit"], ids=lambda r: r.name)
def test_ci_pins_every_direct_dependency(wanted: Requirement) -> None:
    pins = [Requirement(line) for line in (ROOT / "constraints-ci.txt").read_text().splitlines() if line[:1] not in "#"]
    pinned = {pin.name.lower(): pin for pin in pins}
    assert wanted.name.lower() in pinned, f"constraints-ci.txt does not pin {wanted.name}"
    exact = next(iter(pinned[wanted.name.lower()].specifier))
    assert exact.operator == "=="
    assert wanted.specifier.contains(exact.version), f"{wanted} does not allow {exact.version}"
