"""The plugin sets of methods come through the outsiders' door, and cost no torch to list."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import sslkit_clustering
import sslkit_contrastive
import sslkit_dino
import sslkit_redundancy
import sslkit_siamese
import sslkit_supervised
from sslkit.plugins.registry import Registrar, Registry


@pytest.mark.parametrize(
    ("plugin", "names"),
    [
        (sslkit_dino, {("head", "dino"), ("loss", "dino"), ("teacher", "ema"), ("teacher", "frozen_epoch"),
                       ("teacher", "student_copy"), ("teacher", "polyak"), ("teacher", "previous_step"),
                       ("teacher", "fixed")}),
        (sslkit_contrastive, {("loss", "ntxent"), ("loss", "info_nce"), ("loss", "info_nce_queue")}),
        (sslkit_siamese, {("loss", "byol"), ("loss", "simsiam")}),
        (sslkit_clustering, {("head", "prototypes"), ("loss", "swav")}),
        (sslkit_redundancy, {("loss", "barlow_twins"), ("loss", "vicreg")}),
        (sslkit_supervised, {("head", "classifier"), ("loss", "cross_entropy")}),
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
    sets = "sslkit_dino, sslkit_contrastive, sslkit_siamese, sslkit_clustering, sslkit_redundancy, sslkit_supervised"
    code = f"import sys, {sets}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
