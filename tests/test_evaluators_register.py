"""The plugin's entry-point module names its evaluators without importing torch."""

from __future__ import annotations

import subprocess
import sys

import sslkit_evaluators
from sslkit.parts import Evaluator
from sslkit.plugins.registry import Registrar, Registry


def test_every_name_loads_an_evaluator() -> None:
    registry = Registry()
    sslkit_evaluators.sslkit_register(Registrar(registry, "sslkit_evaluators", "sslkit"))
    assert registry.names("evaluator") == [
        "attention", "copy_detection", "finetune", "knn", "knn_instance", "linear", "linear_cached", "lowshot",
        "retrieval", "segmentation", "spectrum", "video_segmentation",
    ]  # fmt: skip
    for part in registry.parts:
        assert issubclass(part.load(), Evaluator)
        assert part.load()() is not None  # every option has a default


def test_the_entry_point_imports_no_torch() -> None:
    code = "import sys, sslkit_evaluators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
