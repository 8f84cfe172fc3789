"""The plugins of DINO and of contrastive learning come through the outsiders' door, and cost no torch to list."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import sslkit_contrastive
import sslkit_dino
from sslkit.plugins.registry import Registrar, Registry


@pytest.mark.parametrize(
    ("plugin", "names"),
    [
        (sslkit_dino, {("head", "dino"), ("loss", "dino"), ("teacher", "ema"), ("teacher", "frozen_epoch"),
                       ("teacher", "student_copy"), ("teacher", "polyak"), ("teacher", "previous_step"),
                       ("teacher", "fixed")}),
        (sslkit_contrastive, {("head", "mlp"), ("loss", "ntxent")}),
    ],
)  # fmt: skip
def test_registers_parts_that_load_and_fulfil_their_contracts(plugin: ModuleType, names: set[tuple[str, str]]) -> None:
    registry = Registry()
    plugin.sslkit_register(Registrar(registry, plugin.__name__, "sslkit 0"))
    assert {(part.kind, part.name) for part in registry.parts} == names
    for part in registry.parts:
        found = part.load()
        assert found.__doc__
        assert not getattr(found, "__abstractmethods__", None)


def test_entry_points_import_no_torch() -> None:
    code = "import sys, sslkit_dino, sslkit_contrastive; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
