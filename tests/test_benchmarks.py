"""The benchmark scripts run, compare like with like, and tell nothing of the machine that no page should hold."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

TINY = (
    "--arch tiny --batch 2 --locals 2 --global-size 32 --local-size 16 --out-dim 64 --rounds 1 --warmup 3 --device cpu"
)


def measured(script: str, arguments: list[str], out: Path, env: dict[str, str]) -> tuple[dict, str]:
    """What a script wrote: its figures, and its page."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--out", str(out)]
    done = subprocess.run(command, cwd=out, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    name = Path(script).stem
    page = (out / f"{name}.md").read_text()
    assert str(out) not in page
    assert str(BENCHMARKS.parent) not in page
    return json.loads((out / f"{name}.json").read_text()), page


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.05)])
def test_the_engine_and_the_plain_loop_do_the_same_steps(
    precision: str, tolerance: float, tmp_path: Path, subprocess_env: dict[str, str]
) -> None:
    found, page = measured("step.py", [*TINY.split(), "--precision", precision], tmp_path, subprocess_env)
    losses = found["first losses"]
    assert len(losses) == 3
    assert losses[0][0] != pytest.approx(losses[2][0], abs=1e-3)  # something moved
    for ours, plain in losses:
        assert ours == pytest.approx(plain, abs=tolerance)
    assert len(found["milliseconds"]["sslkit"]) == len(found["milliseconds"]["plain loop"]) == 1
    assert "| round 1 |" in page


def test_the_quickstart_page_tells_before_and_after(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    evaluators = ("knn_transformed", "linear_cached", "spectrum")
    overrides = ["train.epochs=1", "train.workers=0", *(f"evaluate.{name}=null" for name in evaluators)]
    found, page = measured("quickstart.py", ["--seeds", "3", "--set", *overrides], tmp_path, subprocess_env)
    assert found["seeds"].keys() == {"3"}
    before, after = (found["seeds"]["3"][f"{when}teacher/knn/k20_top1"] for when in ("start/", ""))
    assert 50 < before < 100
    assert f"| teacher/knn/k20_top1, random weights | {before:.2f} | {before:.2f} +- 0.00 |" in page
    assert f"| teacher/knn/k20_top1, gain | {after - before:.2f} |" in page


def test_every_method_has_a_recipe_on_clip_art(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    methods = importlib.import_module("methods")
    for method in methods.METHODS:
        words = methods.on_clipart(method)
        overrides = [Override(*word.removeprefix("--").split("=", 1), from_command_line=True) for word in words]
        recipe = load_recipe(f"{method}_fashion", overrides)
        assert (recipe.data.name, recipe.preprocess.channels, recipe.train.epochs) == ("clipart", 3, 40)
        assert recipe.augment.options["hue"] == {"simclr": 0.2, "swav": 0.2}.get(method, 0.1) or method == "supervised"
        assert recipe.augment.options["jitter"] == (0.0 if method == "supervised" else 0.8)
