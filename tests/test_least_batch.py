"""Batches that are too small for a loss, or for BatchNorm, are refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sslkit
from forked import Sslkit, fork_ranks, sslkit_main, wait
from sslkit.errors import UserError
from tiny_methods import METHODS, tiny_method
from tiny_run import TINY_VIT, write

SMALL = {"data": {"name": "synthetic", "images": 8, "size": 32}, "watch": None}
STEP = {"train.max_steps": 1, "train.workers": 0}


def small(name: str, **train: Any) -> dict[str, Any]:
    return tiny_method(name, **train) | SMALL


@pytest.mark.parametrize("name", METHODS)
def test_every_method_with_one_image_trains_or_is_refused_with_the_least_batch(name: str, tmp_path: Path) -> None:
    recipe = small(name, batch_size=1)
    if name in ("mocov2", "supervised"):  # means over samples, and no BatchNorm
        assert sslkit.fit(recipe, STEP, out=tmp_path / "run").folder.is_dir()
        return
    with pytest.raises(UserError, match=r"train.batch_size: 1 is 1 image at a time, and .* use at least 2$") as refused:
        sslkit.fit(recipe, STEP, out=tmp_path / "run")
    assert (f"the loss {recipe['loss']['name']!r}" in str(refused.value)) is (name not in ("byol", "simsiam"))
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert sslkit.fit(recipe, STEP | {"train.batch_size": 2}, out=tmp_path / "run").folder.is_dir()


def test_dino_needs_two_images_for_sinkhorn_alone(tmp_path: Path) -> None:
    recipe = TINY_VIT | SMALL | {"train": TINY_VIT["train"] | {"batch_size": 1}}  # type: ignore[operator]
    assert sslkit.fit(recipe, STEP, out=tmp_path / "mean").folder.is_dir()
    with pytest.raises(UserError, match="the loss 'dino' learns nothing from fewer than 2"):
        sslkit.fit(recipe, STEP | {"loss.centering": "sinkhorn"}, out=tmp_path / "sinkhorn")


def test_the_place_and_micro_batches_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, small("simclr", batch_size=4, micro_batches=4))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "batch_size" in text)
    told = Sslkit(tmp_path, "fit", "--recipe", str(file), "--out", "run")
    assert told.code() == 2
    assert f"tiny.yaml:{line}: train.batch_size: 4 in 4 micro-batches is 1 image at a time, and " in told.complained
    assert "use at least 8 or fewer train.micro_batches" in told.complained
    assert "Traceback" not in told.complained
    assert sslkit.fit(file, STEP | {"train.micro_batches": 2}, out=tmp_path / "fewer").folder.is_dir()


def test_a_loss_says_what_it_needs(tmp_path: Path) -> None:
    plugin = tmp_path / "triplets.py"
    plugin.write_text(
        "import sslkit\n"
        "from sslkit.parts import Loss, LossTerms\n"
        "class Triplets(Loss):\n"
        "    '''Compares three images.'''\n"
        "    least_batch = 3\n"
        "    def forward(self, student, teacher, views, at):\n"
        "        one, two, three = next(iter(student.projections.values()))[:3]\n"
        "        return LossTerms((one * two - two * three).square().mean())\n"
        "@sslkit.hookimpl\n"
        "def sslkit_register(registry):\n"
        "    registry.loss('triplets', Triplets)\n"
    )
    recipe = TINY_VIT | SMALL | {"loss": "triplets", "teacher": None}
    with pytest.raises(UserError, match="2 is 2 images at a time, and the loss .triplets. .* at least 3"):
        sslkit.fit(recipe, STEP | {"train.batch_size": 2}, out=tmp_path / "run", plugins=plugin)
    sslkit.fit(recipe, STEP | {"train.batch_size": 4}, out=tmp_path / "run", plugins=plugin)


def test_bench_and_ablations_refuse_it_too(tmp_path: Path) -> None:
    file = write(tmp_path, small("byol", batch_size=1))
    for words in (("bench",), ("ablate", "--axis", "seed_free=1")):
        words = ("ablate", "--axis", "optimizer.lr=0.1,0.2") if words[0] == "ablate" else words
        told = Sslkit(tmp_path, *words, "--recipe", str(file), "--train.workers", "0")
        assert told.code() == 2
        assert "BatchNorm (student.head" in told.complained


def test_images_are_counted_over_processes(tmp_path: Path) -> None:
    file = write(tmp_path, small("byol", batch_size=2, max_steps=1, workers=0))
    work = sslkit_main("fit", "--recipe", str(file), "--out", str(tmp_path / "run"))
    logs = [tmp_path / f"rank{rank}.txt" for rank in range(2)]
    assert [wait(rank) for rank in fork_ranks(work, logs)] == [0, 0], logs[0].read_text()
    work = sslkit_main("fit", "--recipe", str(file), "--out", str(tmp_path / "one"), "--train.batch_size", "1")
    assert wait(fork_ranks(work, logs[:1])[0]) == 2
