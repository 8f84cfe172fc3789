"""The plugin set as a whole: names, contracts, options."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import pytest

import sslkit_vision
from sslkit.parts.kinds import KINDS
from sslkit.plugins.registry import Registrar, Registry


def registry():
    found = Registry()
    sslkit_vision.sslkit_register(Registrar(found, plugin="sslkit_vision", distribution="sslkit"))
    return found


PARTS = [part for part in registry().parts if part.kind != "augmenter"]  # multicrop's own tests look after it


@pytest.mark.parametrize("part", PARTS, ids=[f"{part.kind}-{part.name}" for part in PARTS])
def test_every_part_loads_and_describes_its_options(part):
    kind = part.load()
    hints = typing.get_type_hints(kind.__init__)
    documented = inspect.getdoc(kind) or ""
    assert documented, "the class docstring is the help text"
    for name in list(inspect.signature(kind.__init__).parameters)[1:]:
        assert name != "name"
        assert name in hints, f"{name} has no type"
        if name not in KINDS[part.kind].context:
            assert f"\n    {name}: " in documented, f"{name} is not described under Args"


def test_the_entry_point_imports_no_torch():
    code = "import sys, sslkit_vision; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
