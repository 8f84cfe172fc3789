"""Real runs: refused, finished, and swapped by one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import sslkit
from sslkit.errors import RunError, UserError
from tiny_run import TINY, assert_equal_runs, final_weights, logged, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    sslkit.fit(tiny(), out=out)
    return out


def test_a_run_folder_holds_everything(finished: Path) -> None:
    for name in ("recipe.yaml", "metrics.csv", "summary.json", "environment.json", "log.txt", "checkpoints",
                 "pictures/views.png", "pictures/curves.png"):  # fmt: skip
        assert (finished / name).exists(), name
    assert list(finished.glob("**/events.out.tfevents.*"))
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["steps"] == 22
    for net in ("teacher", "student"):
        assert 0 < summary[f"{net}/knn/k5_top1"] <= 100
        assert 0 < summary[f"start/{net}/knn/k5_top1"] <= 100
    assert summary["images_per_second"] > 0
    assert summary["peak_memory_mb"] > 0
    steps = logged(finished).query("name == 'loss'")["step"].tolist()
    assert steps == list(range(1, 23))


def test_a_finished_run_is_shown_and_not_trained_again(finished: Path) -> None:
    before = (finished / "metrics.csv").read_bytes()
    result = sslkit.fit(tiny(), out=finished)
    assert result.summary["steps"] == 22
    assert (finished / "metrics.csv").read_bytes() == before


def test_another_recipe_in_the_folder_is_refused_with_the_keys_that_differ(finished: Path) -> None:
    with pytest.raises(UserError, match=r"another recipe \(head.out_dim: 32 there, 64 now\).*--out.*--fresh"):
        sslkit.fit(tiny(), {"head.out_dim": 64}, out=finished)


def test_keys_that_change_no_number_may_change(finished: Path) -> None:
    assert sslkit.fit(tiny(), {"train.workers": 1, "train.log_every": 7}, out=finished).summary["steps"] == 22


def test_fresh_moves_the_old_run_aside(tmp_path: Path) -> None:
    short = {"train.epochs": 1, "evaluate.knn": None}
    sslkit.fit(tiny(), short, out=tmp_path / "run")
    sslkit.fit(tiny(), {**short, "seed": 1}, out=tmp_path / "run", fresh=True)
    assert (tmp_path / "run.old-1" / "summary.json").is_file()
    assert not torch.equal(
        final_weights(tmp_path / "run")["student/head.mlp.0.weight"],
        final_weights(tmp_path / "run.old-1")["student/head.mlp.0.weight"],
    )


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        sslkit.fit(tiny(), out=tmp_path)


def test_max_steps_cuts_a_run_short_and_the_same_call_without_it_ends_it(tmp_path: Path, finished: Path) -> None:
    cut = sslkit.fit(tiny(), {"train.max_steps": 7}, out=tmp_path / "run")
    assert not cut.summary
    done = sslkit.fit(tiny(), out=tmp_path / "run")
    assert done.summary["steps"] == 22
    assert_equal_runs(finished, tmp_path / "run")


@pytest.mark.parametrize(
    "overrides",
    [
        {"teacher": "frozen_epoch"},
        {"teacher": "student_copy"},
        {"head.use_bn": False},
        {"train.micro_batches": 2},
        {"train.precision": "bf16"},
        {"clip": {"name": "global_norm", "max_norm": 1.0}},
    ],
    ids=str,
)
def test_ablations_swap_by_one_line(tmp_path: Path, overrides: dict[str, object]) -> None:
    base = {"train.epochs": 2, "evaluate.knn": None, "train.max_steps": 13}
    plain = sslkit.fit(tiny(), base, out=tmp_path / "plain")
    other = sslkit.fit(tiny(), {**base, **overrides}, out=tmp_path / "other")
    one, two = final_weights(plain.folder), final_weights(other.folder)
    assert any(one[name].shape != two[name].shape or not torch.equal(one[name], two[name]) for name in one.keys() & two)
    assert all(torch.isfinite(tensor).all() for tensor in two.values() if tensor.is_floating_point())


def test_teacher_rules_do_what_they_say(tmp_path: Path) -> None:
    base = {"evaluate.knn": None, "train.max_steps": 15}
    copied = final_weights(sslkit.fit(tiny(), {**base, "teacher": "student_copy"}, out=tmp_path / "copy").folder)
    frozen = final_weights(sslkit.fit(tiny(), {**base, "teacher": "frozen_epoch"}, out=tmp_path / "frozen").folder)
    at_epoch = final_weights(
        sslkit.fit(tiny(), {**base, "teacher": "frozen_epoch", "train.max_steps": 11}, out=tmp_path / "epoch").folder
    )
    name = "backbone.stages.0.0.weight"
    key = next(k for k in copied if k.startswith("student/backbone") and copied[k].ndim == 4)
    name = key.removeprefix("student/")
    assert torch.equal(copied[f"teacher/{name}"], copied[f"student/{name}"])
    assert torch.equal(frozen[f"teacher/{name}"], at_epoch[f"student/{name}"])
    assert not torch.equal(frozen[f"teacher/{name}"], frozen[f"student/{name}"])


def test_a_method_without_a_teacher_trains_on_the_same_engine(tmp_path: Path) -> None:
    recipe = tiny(
        augment={**TINY["augment"], "local_crops": 0},  # type: ignore[dict-item]
        head={"name": "mlp", "hidden_dim": 32, "out_dim": 16},
        teacher=None,
        loss={"name": "ntxent", "temperature": 0.5},
    )
    result = sslkit.fit(recipe, out=tmp_path / "run")
    losses = logged(result.folder).query("name == 'loss'")["value"]
    assert losses.iloc[-3:].mean() < losses.iloc[:3].mean()
    assert "student/knn/k5_top1" in result.summary


def test_accumulation_equals_the_big_batch_where_the_loss_is_a_mean(tmp_path: Path) -> None:
    vit = {"name": "vit", "dim": 16, "depth": 1, "heads": 2, "patch_size": 4, "drop_path_rate": 0.0}
    base = {"evaluate.knn": None, "train.max_steps": 4, "head.use_bn": False, "backbone": vit}
    recipe = tiny(optimizer={"name": "sgd", "lr": 0.1, "weight_decay": 0.0})
    one = final_weights(sslkit.fit(recipe, base, out=tmp_path / "one").folder)
    four = final_weights(sslkit.fit(recipe, {**base, "train.micro_batches": 4}, out=tmp_path / "four").folder)
    for name, tensor in one.items():
        assert torch.allclose(tensor, four[name], atol=1e-6), name


def test_a_non_finite_loss_moves_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not finite at step"):
        sslkit.fit(tiny(optimizer={"name": "sgd", "lr": 1e30, "weight_decay": 0.0}), out=tmp_path / "run")


def test_load_backbone_gives_a_plain_module(finished: Path) -> None:
    net = sslkit.load_backbone(finished)
    images = torch.zeros(2, 3, 16, 16)
    assert net(images).shape == (2, net.embed_dim)
    student = sslkit.load_backbone(finished, "student")
    assert not torch.equal(net(images + 1), student(images + 1))
    newest = max((finished / "checkpoints").iterdir())
    again = sslkit.load_backbone(newest / "weights.safetensors")
    assert torch.equal(again(images + 1), net(images + 1))
    with pytest.raises(UserError, match="there is no such run"):
        sslkit.load_backbone(finished / "nothing" / "here" / "at" / "all")
