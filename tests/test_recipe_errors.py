# ruff: noqa: E501 - messages are quoted whole
from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipe_parts import RECIPE, registry
from sslkit.errors import UserError
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override, split_overrides


def message(text: str, *words: str) -> str:
    """What is said of a recipe, which is read as ``r.yaml`` in the working directory."""
    Path("r.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe("r.yaml", split_overrides(words, ())[1], registry())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


CHANGES = [
    # a line of the recipe, what it becomes, the message
    ("out_dim: 512", "out_dimm: 512",
     "r.yaml:7: head.out_dimm: there is no such option of the head 'big'; did you mean 'out_dim'?"),
    ("out_dim: 512", "in_dim: 512", "r.yaml:7: head.in_dim: the engine fills this in; leave it out"),
    ("out_dim: 512", "out_dim: many", "r.yaml:7: head.out_dim: expected a whole number, got 'many'"),
    ("out_dim: 512", "out_dim: 1.5", "r.yaml:7: head.out_dim: expected a whole number, got 1.5"),
    ("out_dim: 512", "out_dim: true", "r.yaml:7: head.out_dim: expected a whole number, got true"),
    ("out_dim: 512", "out_dim: '512'", "r.yaml:7: head.out_dim: expected a whole number, got '512'"),
    ("out_dim: 512", "out_dim: null", "r.yaml:7: head.out_dim: expected a whole number, got null"),
    ("out_dim: 512", "out_dim:", "r.yaml:7: head.out_dim: expected a whole number, got null"),
    ("out_dim: 512", "out_dim: 010", "r.yaml:7: head.out_dim: expected a whole number, got '010'"),
    ("out_dim: 512", "use_bn: yes", "r.yaml:7: head.use_bn: expected true or false, got 'yes'"),
    ("out_dim: 512", "use_bn: 1", "r.yaml:7: head.use_bn: expected true or false, got 1"),
    ("out_dim: 512", "title: 12", "r.yaml:7: head.title: expected text or null, got 12; quote it if text is meant: '12'"),
    ("name: big", "name: bigg", "r.yaml:7: head: there is no head 'bigg'; did you mean 'big'?"),
    ("name: big", "name: 3", "r.yaml:7: head: expected the name of a head, or a mapping with its name and options, got 3"),
    ("name: big", "name: null", "r.yaml:7: head.name: expected the name of a head, got null"),
    ("name: big, ", "", "r.yaml:7: head: which head? Give it a name: known: big, plain"),
    ("{name: big, out_dim: 512}", "[big]",
     "r.yaml:7: head: expected the name of a head, or a mapping with its name and options, got ['big']"),
    ("{name: big, out_dim: 512}", "true",
     "r.yaml:7: head: expected the name of a head, or a mapping with its name and options, got true"),
    ("head:", "haed:", "r.yaml:7: haed: there is no such section; did you mean 'head'?"),
    ("head: {name: big, out_dim: 512}", "head.out_dim: 3",
     "r.yaml:7: head.out_dim: there is no such section; in a file write it nested: `head: {out_dim: ...}`"),
    ("  depth: 6", "  depth: .nan", "r.yaml:6: backbone.depth: expected a finite number, got nan"),
    ("  depth: 6", "  rate: -.inf", "r.yaml:6: backbone.rate: expected a finite number, got -inf"),
    ("  depth: 6", "  rate: nan", "r.yaml:6: backbone.rate: expected a number, got 'nan'"),
    ("  depth: 6", "  arch: bose",
     "r.yaml:6: backbone.arch: expected one of small, base, got 'bose'; did you mean 'base'?"),
    ("local_crops: 6", "scale: [0.1]", "r.yaml:3: augment.scale: expected a list of 2 values (a number), got [0.1]"),
    ("local_crops: 6", "scale: [0.1, null]",
     "r.yaml:3: augment.scale: expected a list of 2 values (a number), got [0.1, None]"),
    ("local_crops: 6", "sizes: 96", "r.yaml:3: augment.sizes: expected a list (of a whole number), got 96; write [96]"),
    ("local_crops: 6", "sizes: ['96']", "r.yaml:3: augment.sizes: expected a list (of a whole number), got ['96']"),
    ("local_crops: 6", "sizes: '[96]'",
     "r.yaml:3: augment.sizes: expected a list (of a whole number), got '[96]'; write [96]"),
    ("root: images", "limit: 5", "r.yaml:2: data: the dataset 'folder' needs 'root'; it has no default"),
    ("data: {name: folder, root: images}", "", "r.yaml: data: a recipe needs this section: the images to train on; "
     "known: folder, toy"),
    ("data: {name: folder, root: images}", "data: null", "r.yaml: data: a recipe needs this section: the images to "
     "train on; known: folder, toy"),
    ("loss: {name: ce, temp: 0.2}", "", "r.yaml: loss: a recipe needs this section: what is minimised; short for losses "
     "with one entry; known: ce, spread"),
    ("loss: {name: ce, temp: 0.2}", "loss: null", "r.yaml:9: loss: a recipe needs a loss; name one"),
    ("loss: {name: ce, temp: 0.2}", "loss: ce\nlosses: {ce: {}}",
     "r.yaml:10: losses: both loss and losses are given; move the loss into losses"),
    ("loss: {name: ce, temp: 0.2}", "losses: [ce]",
     "r.yaml:9: losses: expected a mapping such as {loss_name: {}}, got ['ce']"),
    ("loss: {name: ce, temp: 0.2}", "losses: {ce: {weight: -1}}",
     "r.yaml:9: losses.ce.weight: must be at least 0, got -1.0"),
    ("seed: 3", "seed: -1", "r.yaml:1: seed: must be at least 0 and below 2^63, got -1"),
    ("seed: 3", "seed: abc", "r.yaml:1: seed: expected a whole number, got 'abc'"),
    ("seed: 3", "seed: 3\ntrian: {}", "r.yaml:2: trian: there is no such section; did you mean 'train'?"),
    ("train: {epochs: 5, batch_size: 64}", "train:", "r.yaml:13: train: expected a mapping such as {epochs: ...}, "
     "got nothing"),
    ("epochs: 5", "epoch: 5", "r.yaml:13: train.epoch: there is no such key here; did you mean 'epochs'?"),
    ("epochs: 5", "epochs: 0", "r.yaml:13: train.epochs: must be at least 1, got 0"),
    ("batch_size: 64", "batch_size: null", "r.yaml:13: train.batch_size: expected a whole number, got null"),
    ("batch_size: 64", "micro_batches: 3",
     "r.yaml:13: train.micro_batches: must divide train.batch_size, so that all parts of a batch are equally large, got 3"),
    ("batch_size: 64", "precision: bf61",
     "r.yaml:13: train.precision: expected one of auto, fp32, bf16, fp16, got 'bf61'; did you mean 'bf16'?"),
    ("every: 2", "evry: 2",
     "r.yaml:15: evaluate.knn.evry: there is no such option of the evaluator 'knn'; did you mean 'every'?"),
    ("every: 2", "every: -1", "r.yaml:15: evaluate.knn.every: must be at least 0; 0 evaluates at the end only, got -1"),
    ("which: [teacher, student]", "which: []",
     "r.yaml:16: evaluate.knn20.which: must name at least one net: [teacher], [student] or both, got []"),
    ("which: [teacher, student]", "which: teacher", "r.yaml:16: evaluate.knn20.which: expected a list (of one of teacher, "
     "student), got 'teacher'; write ['teacher']"),
    ("knn20: {name: knn, ", "knn20: {", "r.yaml:16: evaluate.knn20: there is no evaluator 'knn20'; did you mean 'knn'?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES, ids=[new or f"no {old}" for old, new, _ in CHANGES])
def test_a_mistake_in_a_file_is_told_by_line_key_and_remedy(old: str, new: str, expected: str) -> None:
    assert RECIPE.count(old) == 1
    assert message(RECIPE.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--head.out_dimm", "3"],
         "command line: --head.out_dimm: there is no such option of the head 'big'; did you mean 'out_dim'?"),
        (["--head.out_dim", "many"], "command line: --head.out_dim: expected a whole number, got 'many'"),
        (["--head.out_dim.x", "3"], "command line: --head.out_dim: expected a whole number, got {'x': 3}"),
        (["--head", "bigg"], "command line: --head: there is no head 'bigg'; did you mean 'big'?"),
        (["--head", ""], "command line: --head: expected the name of a head, or a mapping with its name and options, "
         "got ''"),
        (["--head", "null", "--head.use_bn", "true"], "command line: --head: which head? Give it a name: known: "
         "big, plain"),
        (["--optimizer", "null"], "r.yaml: optimizer: a recipe needs this section: how the weights move; known: adam"),
        (["--watch.tensorbord", "null"], "command line: --watch.tensorbord: null removes an entry, but there is none of "
         "this id; did you mean 'tensorboard'?"),
        (["--param_groups.bias", "null"], "command line: --param_groups.bias: null removes an entry, but there is none of "
         "this id; did you mean 'biases'?"),
        (["--param_groups.mine.name", "x"], "command line: --param_groups.mine.name: there is no such key here; known: "
         "decay_lr, lr, match, max_ndim, trust, weight_decay"),
        (["--evaluate.knn.k", "5"],
         "command line: --evaluate.knn.k: expected a list (of a whole number), got 5; write [5]"),
        (["--evaluate.knn", "{k: [1], k: [2]}"], "command line: --evaluate.knn: k: given twice; keep one of them"),
        (["--preprocess.channels", "1"],
         "r.yaml: preprocess.mean: needs one number in 0..1 for each of preprocess.channels (docs/channels.md computes "
         "them), got [0.485, 0.456, 0.406]"),
        (["--preprocess.resize", "100"], "command line: --preprocess.resize: must be at least preprocess.size, or null, "
         "got 100"),
        (["--preprocess.std", "[1, 1, 0]"],
         "command line: --preprocess.std: must be more than 0 in every channel, got [1.0, 1.0, 0.0]"),
        (["--checkpoint.keep", "1"], "command line: --checkpoint.keep: must be at least 2: a damaged newest checkpoint must "
         "have one to fall back to, got 1"),
        (["--checkpoint.every_steps", "0"], "command line: --checkpoint.every_steps: must be at least 1; null switches it "
         "off, got 0"),
        (["--checkpoint.best_metric", "top1"], "command line: --checkpoint.best_metric: must name an evaluation's number, "
         "as in teacher/knn/k20_top1, got top1"),
        (["--checkpoint.best_metric", "teacher/kn/top1"], "command line: --checkpoint.best_metric: no evaluation 'teacher/kn' "
         "is in the section evaluate; did you mean 'teacher/knn'?"),
        (["--train.workers", "-1"], "command line: --train.workers: must be at least 0; 0 loads in the main process, null "
         "chooses, got -1"),
        (["--train..epochs", "1"], "command line: --train..epochs: no key of a recipe; write section.key, as in "
         "--train.epochs"),
        (["--seed.x", "1"], "command line: --seed: expected a whole number, got {'x': 1}"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_told_by_its_flag(words: list[str], expected: str) -> None:
    assert message(RECIPE, *words) == expected


def test_a_missing_default_watcher_is_said_to_be_a_default() -> None:
    parts = registry()
    parts.parts = [part for part in parts.parts if part.name != "csv"]
    parts.broken["loggers"] = "ImportError: no"
    Path("r.yaml").write_text(RECIPE)
    with pytest.raises(
        UserError, match=r"^the defaults of every recipe: watch.csv: there is no watcher 'csv'.*'loggers'"
    ):
        load_recipe("r.yaml", (), parts)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("missing.yaml", "there is no recipe 'missing.yaml'"),
        (".", ".: this is a folder or no regular file"),
        ("a\0b", "'a\\x00b'"),
        ("x" * 5000, "no file can be called so"),
        ("latin.yaml", "latin.yaml: not a text file in UTF-8"),
        ("empty.yaml", "empty.yaml: the recipe is empty"),
        ("rr.yaml", "there is no recipe 'rr.yaml'; did you mean 'r.yaml'?"),
        ("based.yaml", "based.yaml:2: base: there is no recipe 'nothing.yaml'"),
        ("listed.yaml", "listed.yaml:1: base: expected one file"),
        ("huge.yaml", "huge.yaml: larger than a megabyte"),
    ],
)
def test_what_is_no_recipe_file_is_refused(source: str, expected: str) -> None:
    Path("r.yaml").write_text(RECIPE)
    Path("latin.yaml").write_bytes("data: {root: café}".encode("latin-1"))
    Path("empty.yaml").write_text("\n")
    Path("based.yaml").write_text("seed: 1\nbase: nothing.yaml\n")
    Path("listed.yaml").write_text("base: [r.yaml]\n")
    Path("huge.yaml").write_text("# " + "x" * 1_100_000)
    with pytest.raises(UserError, match=re.escape(expected)):
        load_recipe(source, (), registry())


def test_an_override_whose_key_is_no_text_is_refused() -> None:
    with pytest.raises(UserError, match="no key of a recipe"):
        load_recipe({}, [Override(3, 1)], registry())  # type: ignore[arg-type]
