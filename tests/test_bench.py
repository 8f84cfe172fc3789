"""``sslkit bench``: counts that must be right, and advice that follows from what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from sslkit.cli.main import main
from sslkit.recipe.load import load_recipe
from sslkit.report.bench import Bench, bench, ceiling
from tiny_run import TINY_VIT

RECIPE = TINY_VIT | {"train": TINY_VIT["train"] | {"batch_size": 16, "workers": 0, "threads": 1}}  # type: ignore[operator]


def flops(batch_size: int, **changes: object) -> int:
    recipe = RECIPE | {"train": RECIPE["train"] | {"batch_size": batch_size, **changes}}
    return bench(load_recipe(recipe), 1).flops


def test_flops_are_in_proportion_to_the_batch_and_not_to_its_parts() -> None:
    one = flops(16)
    assert flops(32) == 2 * one
    assert flops(32, micro_batches=2) == 2 * one


def test_the_command_prints_and_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    assert (
        main(["bench", "--recipe", str(tmp_path / "r.yaml"), "--steps", "3", "--json", str(tmp_path / "b.json")]) == 0
    )
    said = capsys.readouterr().out
    for part in ("together", "the loader alone", "teacher forward", "backward", "GFLOP a step", "bounds it"):
        assert part in said
    found = json.loads((tmp_path / "b.json").read_text())
    assert 0 <= found["wait_share"] <= 1
    assert all(seconds >= 0 for seconds in found["split"].values())
    assert min(found[f"{what}images_per_second"] for what in ("", "step_", "loader_")) > 0
    assert not (tmp_path / "runs").exists()


FOUND = Bench(90.0, 100.0, 400.0, 0.0, {"backward": 3.0, "optimizer": 1.0}, 10**9, 1e11, 100.0, 10, 2)


def test_advice_names_what_bounds_it() -> None:
    assert FOUND.share_of_ceiling == pytest.approx(0.1)
    step, more = FOUND.advice()
    assert "the step bounds it; of its parts the largest is: backward (75%)" in step
    assert "10% of what matrix products reach" in more
    (loader,) = replace(FOUND, loader_images_per_second=50.0).advice()
    assert "the loader bounds it: 50 images/s against the step's 100; train.workers is 2" in loader


def test_the_ceiling_is_of_this_machine() -> None:
    assert 1e8 < ceiling(torch.device("cpu"), None) < 1e14
