"""``train.precision``: what ``auto`` becomes, that a run keeps it, and what is slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import sslkit
from forked import Sslkit
from sslkit.engine.precision import Precision, concrete, why_slow
from sslkit.errors import UserError
from sslkit.recipe.find import list_recipes
from sslkit.recipe.load import load_recipe
from test_continuing import CUT, SHORT, begun, recipe_of
from tiny_run import write

CPU = torch.device("cpu")
AUTO = {"train.precision": "auto"}
#: What auto is on this machine, by its processor's own flags.
HERE = "bf16" if {"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text().split()) else "fp32"


def test_auto_is_what_the_processor_computes_in() -> None:
    assert concrete("auto", CPU) == HERE
    assert [concrete(name, CPU) for name in ("fp32", "bf16", "fp16")] == ["fp32", "bf16", "fp16"]
    assert Precision("auto", CPU).dtype == (torch.bfloat16 if HERE == "bf16" else None)
    assert why_slow("fp32", CPU) is None
    assert (why_slow("bf16", CPU) is None) is (HERE == "bf16")


def test_a_run_keeps_what_auto_became_wherever_it_goes_on(tmp_path: Path) -> None:
    sslkit.fit(SHORT, AUTO | CUT, out=tmp_path / "new")
    assert recipe_of(tmp_path / "new")["train"]["precision"] == HERE
    other = "fp32" if HERE == "bf16" else "bf16"
    elsewhere = begun(tmp_path / "elsewhere", precision=other)  # as if another machine had begun it
    assert sslkit.fit(SHORT, AUTO, out=elsewhere).summary["steps"] == 8
    assert recipe_of(elsewhere)["train"]["precision"] == other
    with pytest.raises(UserError, match=f"train.precision: {other} there, {HERE} now"):
        sslkit.fit(SHORT, {"train.precision": HERE}, out=elsewhere)
    sslkit.fit(SHORT, AUTO | CUT, out=elsewhere, fresh=True)
    assert recipe_of(elsewhere)["train"]["precision"] == HERE


def test_a_slow_precision_is_trained_in_and_warned_of(tmp_path: Path) -> None:
    sentence = "train.precision fp16 is emulated on this CPU"
    if why_slow("fp16", CPU) is None:
        pytest.skip("this processor computes in fp16")
    file = write(tmp_path, SHORT)
    half = ("--train.precision", "fp16")
    trained = Sslkit(tmp_path, "fit", "--recipe", str(file), "--out", "run", *half, "--train.max_steps", "1")
    assert trained.code() == 0
    assert trained.complained.count(sentence) == 1
    assert "fp32" in trained.complained
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["train"]["precision"] == "fp16"
    for words in (("embed", "run", "--out", "x.npz"), ("bench", "--recipe", str(file), "--steps", "1", *half)):
        used = Sslkit(tmp_path, *words)
        assert used.code() == 0, used.complained
        assert sentence in used.complained
    used = Sslkit(tmp_path, "embed", "run", "--out", "x.npz", "--train.precision", "auto")
    assert used.code() == 0, used.complained
    assert sentence not in used.complained


def test_no_recipe_that_ships_names_a_half_precision() -> None:
    found = {shipped.name: load_recipe(shipped.name).train.precision for shipped in list_recipes()}
    assert set(found.values()) == {"auto", "fp32"}
    assert found["dino_vits16"] == found["byol_resnet50"] == "auto"
    assert found["quickstart"] == "fp32"


def test_names_of_precisions_cost_no_torch() -> None:
    code = "import sys, sslkit.recipe.settings, sslkit.recipe.continuing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
