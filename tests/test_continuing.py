"""Runs that are continued with other settings than they were begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pytest
import yaml

import sslkit
from forked import fork_ranks, sslkit_main, wait
from sslkit.engine.run_folder import RunFolder
from sslkit.errors import UserError
from sslkit.parts import Effect
from sslkit.recipe.continuing import Kind, changes_between, effects_of, listed
from sslkit.recipe.load import load_recipe
from sslkit.recipe.signature import options_of
from tiny_methods import METHODS
from tiny_run import TINY_VIT, assert_equal_runs, final_weights, logged, write

#: Two epochs of four steps.
SHORT: dict[str, Any] = TINY_VIT | {
    "data": {"name": "synthetic", "images": 16, "size": 32},
    "optimizer": {"name": "sgd", "lr": {"cosine": [0.1, 0.0]}, "weight_decay": 0.0},
    "train": {"epochs": 2, "batch_size": 4, "lr_per_images": None, "workers": 0, "threads": 1, "log_every": 2},
    "watch": {"progress": None, "tensorboard": None, "collapse": None},
}
CUT = {"train.max_steps": 3}


def begun(out: Path, recipe: Mapping[str, Any] = SHORT, **there: Any) -> Path:
    """A run that was stopped after three steps; ``there``: what its recipe says of ``train`` now."""
    sslkit.fit(recipe, CUT, out=out)
    if there:
        file = out / "recipe.yaml"
        written = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(written | {"train": written["train"] | there}))
    return out


def log_of(out: Path) -> str:
    return (out / "log.txt").read_text()


def recipe_of(out: Path) -> Any:
    return yaml.safe_load((out / "recipe.yaml").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sslkit.fit(SHORT, out=tmp_path_factory.mktemp("whole") / "run").folder


@pytest.mark.parametrize(
    "changed",
    [
        {"train.rank_timeout": 60.0, "train.worker_timeout": 9.0, "train.log_every": 1, "train.max_bad_fraction": 0.5},
        {"checkpoint.keep": 3, "checkpoint.every_steps": 2, "checkpoint.background": True, "train.workers": 1},
        {"evaluate.knn": {"k": [3]}, "watch.tensorboard": {}, "watch.collapse": {}, "train.on_nonfinite": "skip"},
        {"train.cache": "cache", "train.cache_side": 32},
    ],
    ids=lambda changed: ",".join(changed),
)
def test_keys_that_change_no_number_end_bit_by_bit_as_the_whole_run(
    changed: dict[str, Any], tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = begun(tmp_path / "run")
    sslkit.fit(SHORT, changed, out=out)
    ours = final_weights(out)
    assert all(tensor.equal(ours[name]) for name, tensor in final_weights(whole).items())
    rows = logged(out)
    pd.testing.assert_frame_equal(rows[~rows["name"].str.contains("knn")].reset_index(drop=True), logged(whole))
    told = next(line for line in log_of(out).splitlines() if "which changes no number of its training" in line)
    assert all(f"{key}: " in told for key in changed)
    assert "rounding" not in log_of(out)


def test_a_logger_that_is_gone_does_not_stand_in_the_way(tmp_path: Path, whole: Path) -> None:
    out = begun(tmp_path / "run")
    assert sslkit.fit(SHORT, {"watch.csv": None}, out=out).summary["steps"] == 8
    assert len(pd.read_csv(out / "metrics.csv").query("name == 'loss'")) == 3


@pytest.mark.parametrize(
    ("there", "now"), [({"compile": True}, {"train.compile": False}), ({}, {"train.threads": 2, "train.device": "cpu"})]
)
def test_keys_that_change_rounding_say_from_which_step_on(there: Any, now: Any, tmp_path: Path) -> None:
    out = begun(tmp_path / "run", **there)
    assert sslkit.fit(SHORT, now, out=out).summary["steps"] == 8
    told = next(line for line in log_of(out).splitlines() if "changes rounding at most" in line)
    assert all(key in told for key in now)
    assert "from step 3 on the numbers are no longer bit by bit" in told
    assert recipe_of(out)["train"]["compile"] is False


def test_an_option_that_its_author_marked_may_change(tmp_path: Path, whole: Path) -> None:
    out = begun(tmp_path / "run")
    assert sslkit.fit(SHORT, {"backbone.recompute": True}, out=out).summary["steps"] == 8
    assert "rounding at most: backbone.recompute: False there, True now" in log_of(out)
    with pytest.raises(UserError, match=r"another recipe \(backbone.drop_path_rate: 0.0 there, 0.1 now\)"):
        sslkit.fit(SHORT, {"backbone.drop_path_rate": 0.1}, out=begun(tmp_path / "other"))


class Marked:
    """Options with and without a mark."""

    def __init__(
        self, plain: int = 1, place: Annotated[str | None, Effect.NONE] = None, noted: Annotated[int, "a note"] = 2
    ) -> None:
        del plain, place, noted


def test_marks_are_read_from_signatures() -> None:
    found = options_of(Marked)
    assert {name: option.effect for name, option in found.items()} == {
        "plain": None,
        "place": Effect.NONE,
        "noted": None,
    }
    assert found["place"].hint == str | None
    listing = load_recipe(SHORT | {"data": {"name": "image_folder", "root": "x"}, "backbone": {"name": "vit"}})
    assert effects_of(listing) == {"data.listing": Effect.NONE, "backbone.recompute": Effect.ROUNDING}


def test_keys_are_compared_whole() -> None:
    old: dict[str, Any] = {"train": {"workers": 1, "workers_more": 1}, "watch": {}, "watches": 1}
    changes = changes_between(old, {"train": {"workers": 2, "workers_more": 2}, "watch": {"csv": {}}, "watches": 2})
    assert set(changes.of(Kind.OTHER)) == {"train.workers_more", "watches"}
    assert set(changes.of(Kind.FREE)) == {"train.workers", "watch", "watch.csv"}


def test_a_part_that_one_recipe_leaves_out_or_sets_to_null_is_listed_by_its_name() -> None:
    csv = {"watch": {"csv": {"name": "csv", "every": 1}}}
    for without in ({"watch": {"csv": None}}, {"watch": {}}):
        assert "watch.csv: csv there, absent now" in listed(changes_between(csv, without).of(Kind.FREE))
        back = listed(changes_between(without, csv).of(Kind.FREE))
        assert "watch.csv: absent there, csv now" in back
        assert "None" not in back
    told = listed(changes_between({"clip": None}, {"clip": {"name": "global", "max_norm": 1.0}}).of(Kind.OTHER))
    assert told == "clip: absent there, global now"


@pytest.mark.parametrize("now", [{"train.micro_batches": 2}, {"train.view_batching": "view"}], ids=str)
def test_parts_of_a_batch_may_change_where_every_sample_is_on_its_own(
    now: dict[str, Any], tmp_path: Path, whole: Path
) -> None:
    out = begun(tmp_path / "run")
    sslkit.fit(SHORT, now, out=out)
    assert f"rounding at most: {next(iter(now))}" in log_of(out)
    for name, tensor in final_weights(whole).items():
        assert tensor.allclose(final_weights(out)[name], atol=1e-5), name
    head = SHORT["head"] | {"use_bn": True}
    normed = begun(tmp_path / "normed", SHORT | {"head": head})
    before = (normed / "recipe.yaml").read_bytes()
    with pytest.raises(UserError, match="looked at together by BatchNorm; name another folder"):
        sslkit.fit(SHORT | {"head": head}, now, out=normed)
    assert (normed / "recipe.yaml").read_bytes() == before
    contrastive = SHORT | {"teacher": None, "head": METHODS["simclr"]["head"] | {"use_bn": False}, "loss": "ntxent"}
    out = begun(tmp_path / "contrastive", contrastive)
    if "train.micro_batches" in now:
        with pytest.raises(UserError, match="looked at together by ntxent"):
            sslkit.fit(contrastive, now, out=out)
    else:
        assert sslkit.fit(contrastive, now, out=out).summary["steps"] == 8


def test_a_cache_that_shrinks_images_is_refused_and_one_of_the_same_side_is_not(tmp_path: Path) -> None:
    out = begun(tmp_path / "run")
    with pytest.raises(UserError, match="images are shrunk to 16 pixels .* is larger"):
        sslkit.fit(SHORT, {"train.cache": str(tmp_path / "small"), "train.cache_side": 16}, out=out)
    shrunk = SHORT | {"train": SHORT["train"] | {"short_side": 16}}
    whole = sslkit.fit(shrunk, out=tmp_path / "whole").folder
    out = begun(tmp_path / "shrunk", shrunk)
    sslkit.fit(shrunk, {"train.cache": str(tmp_path / "cache")}, out=out)
    assert_equal_runs(whole, out)


@pytest.mark.parametrize("finished", [True, False])
def test_another_length_is_refused_with_what_schedules_would_do(finished: bool, tmp_path: Path) -> None:
    out = sslkit.fit(SHORT, out=tmp_path / "run").folder if finished else begun(tmp_path / "run")
    kind = "a finished" if finished else "an unfinished"
    with pytest.raises(
        UserError, match=f"{kind} run of train.epochs 2, not 3: schedules .*--extend goes on"
    ) as refused:
        sslkit.fit(SHORT, {"train.epochs": 3}, out=out)
    assert ("--train.epochs 2 finishes it" in str(refused.value)) is not finished
    with pytest.raises(UserError, match=r"another recipe \(seed: 0 there, 1 now; train.epochs: 2 there, 3 now\)"):
        sslkit.fit(SHORT, {"train.epochs": 3, "seed": 1}, out=out)
    if finished:
        with pytest.raises(UserError, match="it has trained longer already"):
            sslkit.fit(SHORT, {"train.epochs": 1}, out=out)


def test_a_finished_run_is_extended_with_the_schedules_of_its_new_length(tmp_path: Path) -> None:
    out = sslkit.fit(SHORT, out=tmp_path / "run").folder
    before = logged(out)
    longer = {"train.epochs": 4}
    # cut short in the middle: the same command continues, with the flag and without it
    sslkit.fit(SHORT, longer | {"train.max_steps": 10}, out=out, extend=True)
    assert RunFolder(out).summary() is None
    assert json.loads((out / "summary-2-epochs.json").read_text())["steps"] == 8
    assert sslkit.fit(SHORT, longer, out=out).summary["steps"] == 16
    assert sslkit.fit(SHORT, longer, out=out, extend=True).summary["epochs"] == 4
    after = logged(out)
    pd.testing.assert_frame_equal(after[after["step"] <= 8].reset_index(drop=True), before)
    rates = after.query("name == 'lr'").set_index("step")["value"]
    long = sslkit.fit(SHORT, longer | {"train.max_steps": 9}, out=tmp_path / "long").folder
    assert rates[9] == logged(long).query("name == 'lr' and step == 9")["value"].item() == pytest.approx(0.05)
    assert f"from step 8 on all schedules are those of 4 epochs (learning rate {rates[8]:.3g} -> 0.05," in log_of(out)
    assert log_of(out).count("extended from") == 1


def test_an_extension_needs_steps_that_are_left(tmp_path: Path) -> None:
    out = begun(tmp_path / "run", SHORT | {"train": SHORT["train"] | {"batch_size": 8}})
    recipe = recipe_of(out)
    with pytest.raises(
        UserError, match=r"train.epochs: the run has trained 3 steps already, and this makes 2.* than 1"
    ):
        sslkit.fit(recipe, {"train.epochs": 1, "train.max_steps": None}, out=out, extend=True)
    assert recipe_of(out) == recipe
    assert sslkit.fit(recipe, {"train.epochs": 3, "train.max_steps": None}, out=out, extend=True).summary["steps"] == 6


def test_processes_agree_on_what_the_first_one_finds_in_the_folder(tmp_path: Path) -> None:
    file, out = write(tmp_path, SHORT), tmp_path / "run"
    logs = [tmp_path / f"rank{rank}.txt" for rank in range(2)]
    words = ("fit", "--recipe", str(file), "--out", str(out), "--train.precision", "auto")
    for more in (("--train.max_steps", "3"), ("--train.epochs", "3", "--extend", "--train.log_every", "1")):
        codes = [wait(rank) for rank in fork_ranks(sslkit_main(*words, *more), logs)]
        assert codes == [0, 0], logs[0].read_text() + logs[1].read_text()
    assert json.loads((out / "summary.json").read_text())["steps"] == 12
    assert "extended from 2 to 3 epochs: from step 3 on" in log_of(out)
    refused = [wait(rank) for rank in fork_ranks(sslkit_main(*words, "--train.epochs", "4"), logs)]
    assert refused == [2, 2]


def test_a_new_run_may_be_given_the_flag(tmp_path: Path) -> None:
    assert sslkit.fit(SHORT, out=tmp_path / "run", extend=True).summary["steps"] == 8
