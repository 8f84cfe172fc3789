"""Error messages end with what to write: the mistakes that newcomers and users of other tools make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipe_parts import RECIPE, registry
from sslkit.cli.main import COMMANDS, main
from sslkit.errors import UserError, nearest
from sslkit.plugins.manager import load_registry
from sslkit.plugins.source import parameters_of
from sslkit.recipe import synonyms
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from, split_overrides
from sslkit.recipe.schema import SECTIONS
from sslkit.recipe.signature import options_of

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *words: str) -> str:
    """The one sentence of a mistake."""
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    return error


FIT = ("fit", "--recipe", "quickstart", "--print_config")


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--lr 0.1", "did you mean '--optimizer.lr'?"),
        ("--learning-rate 0.1", "did you mean '--optimizer.lr'?"),
        ("--epochs 3", "did you mean '--train.epochs'?"),
        ("--max_epochs=3", "did you mean '--train.epochs'?"),
        ("--batch-size 3", "did you mean '--train.batch_size'?"),
        ("--num_workers 3", "did you mean '--train.workers'?"),
        ("-j 3", "did you mean '--train.workers'?"),
        ("--device cuda", "did you mean '--train.device'?"),
        ("--local_crops 3", "did you mean '--augment.local_crops'?"),
        ("--max_norm 3", "did you mean '--clip.max_norm'?"),
        ("--momentum 0.9", "did you mean '--teacher.momentum' or '--optimizer.momentum'?"),
        ("--temperature 0.9", "did you mean '--loss.temperature'?"),
        ("--k 5", "did you mean '--evaluate.knn.k'?"),
        ("--knn.k 5", "did you mean '--evaluate.knn.k'?"),
        ("--tensorboard.x 5", "did you mean '--watch.tensorboard.x'?"),
        ("--vit.patch_size 5", "did you mean '--backbone.patch_size'?"),
        ("--model resnet50", "did you mean '--backbone'?"),
        ("--model.arch resnet50", "did you mean '--backbone.arch'?"),
        ("--trainer.max_epochs 3", "did you mean '--train.epochs'?"),
        ("--optim.lr 3", "did you mean '--optimizer.lr'?"),
        ("--foo.lr 3", "did you mean '--optimizer.lr'?"),
        ("--output_dir x", "did you mean '--out'?"),
        ("--config x", "did you mean '--recipe'?"),
        ("--data_path x", "did you mean '--data.root'?"),
        ("--dataset cifar10", "did you mean '--data'?"),
        ("train.epochs=3", "an override begins with two dashes: --train.epochs=3"),
        ("--resume", "leave it out: the same command again continues an unfinished run"),
        ("--continue runs/x", "leave it out: the same command again continues an unfinished run"),
        ("--checkpoint runs/x/checkpoints/step-5", "the same command again continues an unfinished run"),
        ("--gpus 2", "`torchrun --nproc_per_node=2 -m sslkit fit ...`"),
        ("--devices 2", "CUDA_VISIBLE_DEVICES=0,1 chooses which"),
        ("--scheduler cosine", "--optimizer.lr '{cosine: ["),
        ("--evaluate knn", "write --evaluate.knn {}"),
        ("--evaluate.knn.k 5 7", "a list is one word, in quotes: '[5, 7]'"),
        ("--evaluate.knn.k [5, 7]", "write it in quotes: --evaluate.knn.k '[5, 7]'"),
        ("--train.lr 1", "did you mean '--optimizer.lr'?"),
        ("--train.num_workers 1", "did you mean 'workers'?"),
        ("--data.batch_size 1", "did you mean '--train.batch_size'?"),
        ("--data.root photos", "image_folder, imagenet have it: choose one with --data NAME"),
        ("--xyzzy 1", "there is no such flag or section; known: --"),
    ],
)
def test_a_flag_of_another_tool_is_answered_with_ours(flag: str, hint: str, capsys: Capture) -> None:
    error = said(capsys, *FIT, *flag.split())
    assert hint in error
    assert "--fresh" not in error.partition("known: ")[0], "nobody asked to start again"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("eval r --knn.k 5", "did you mean '--evaluate.knn.k'?"),
        ("eval r --resume x", "name the checkpoint in place of the run"),
        ("eval r --checkpoint x", "name the checkpoint in place of the run"),
        ("eval r --pretrained_weights x", "did you mean '--weights'?"),
        ("eval r --head.out_dim 5", "the section head of a finished run cannot be changed"),
        ("embed r --output x", "did you mean '--out'?"),
        ("export r --format onnx", "did you mean '--to'?"),
        ("data check --data_path d", "did you mean '--data.root'?"),
        ("bench --recipe quickstart --lr 1", "did you mean '--optimizer.lr'?"),
        ("ablate --recipe q --resume", "the same command again continues"),
        ("fit quickstart", "--recipe quickstart"),
        ("train", "did you mean `sslkit fit`?"),
        ("run", "did you mean `sslkit fit`?"),
        ("pretrain", "did you mean `sslkit fit`?"),
        ("evaluate", "did you mean `sslkit eval`?"),
        ("features", "did you mean `sslkit embed`?"),
        ("list", "did you mean `sslkit recipes list`?"),
        ("sweep", "did you mean `sslkit ablate`?"),
        ("version", "did you mean `sslkit --version`?"),
        ("recipes quickstart", "the action comes first: sslkit recipes show quickstart"),
        ("recipes train", "the action comes first: sslkit recipes keys train"),
        ("recipes keys epochs", "there is no section 'epochs'; did you mean 'train.epochs'?"),
        ("recipes keys trian", "did you mean 'train'?"),
        ("plugins backbone", "the action comes first: sslkit plugins list backbone"),
        ("plugins train", "the action comes first: sslkit plugins show train"),
        ("data .", "the action comes first: sslkit data check ."),
        ("recipes show quikstart", "did you mean 'quickstart'?"),
        ("recipes show quick", "did you mean 'quickstart'"),
        ("recipes show FASHION", "_fashion'?"),
        ("recipes list resnte", "there is no recipe with 'resnte' in its name; did you mean 'resnet50'?"),
        ("plugins show backbone vitt", "there is no backbone 'vitt'; did you mean 'vit'?"),
        ("plugins show bakbone vit", "there is no kind 'bakbone'; did you mean 'backbone'?"),
        ("plugins show vitt", "did you mean 'vit'?"),
        ("plugins show trian", "did you mean 'train'?"),
        ("plugins show evaluator", "which evaluator? known: attention"),
    ],
)
def test_other_commands_answer_too(words: str, hint: str, capsys: Capture) -> None:
    assert hint in said(capsys, *words.split())


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("train.device", "gpu", "write cuda"),
        ("train.device", "cuda:1", "write cuda, and set CUDA_VISIBLE_DEVICES=1"),
        ("train.device", "0", "write cuda, and set CUDA_VISIBLE_DEVICES=0"),
        ("train.device", "mps", "not supported: write cpu"),
        ("train.device", "CUDA", "did you mean 'cuda'?"),
        ("train.precision", "16-mixed", "write fp16"),
        ("train.precision", "bfloat16", "write bf16"),
        ("train.precision", "32", "write fp32"),
        ("train.max_steps", "None", "write null"),
        ("optimizer", "SGD", "did you mean 'sgd'?"),
        ("backbone", "resnet50", "write --backbone timm --backbone.arch resnet50"),
        ("backbone", "vit_small_patch16_224", "write --backbone timm --backbone.arch vit_small_patch16_224"),
        ("backbone", "vit_small", "write --backbone vit --backbone.arch small"),
        ("backbone", "ViT-B/16", "write --backbone vit --backbone.arch base"),
        ("backbone", "VIT", "did you mean 'vit'?"),
        ("data", "./my photos", "write --data image_folder --data.root './my photos'"),
        ("eval_data", "/x", "write --eval_data image_folder --eval_data.root /x"),
        ("evaluate.knn.k", "5,7", "write [5, 7], in quotes: --evaluate.knn.k '[5, 7]'"),
        ("evaluate.knn.k", "(5,7)", "write [5, 7]"),
        ("evaluate.knn.k", "5 7", "write [5, 7]"),
        ("evaluate.knn.k", "5;7", "write [5, 7]"),
        ("evaluate.knn.which", "teacher,student", "write [teacher, student]"),
        ("augment.global_scale", "0.4,1.0", "write [0.4, 1.0]"),
        ("augment.global_scale", "0.4", "write [0.4, 0.4]"),
    ],
)
def test_a_value_of_another_tool_is_answered_with_ours(key: str, value: str, hint: str, capsys: Capture) -> None:
    assert hint in said(capsys, *FIT, f"--{key}", value)


def test_what_a_hint_says_to_write_works(capsys: Capture) -> None:
    for words in (
        ("--evaluate.knn.k", "[5, 7]"),
        ("--augment.global_scale", "[0.4, 1.0]"),
        ("--evaluate.knn.which", "[teacher, student]"),
        ("--backbone", "timm", "--backbone.arch", "resnet50"),
        ("--backbone", "vit", "--backbone.arch", "base"),
        ("--data", "image_folder", "--data.root", "./my photos"),
        ("--evaluate.spectrum", "{}"),
    ):
        assert main([*FIT, *words]) == 0, capsys.readouterr().err


def test_lists_of_text_and_mappings_have_their_hints_in_files_and_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE.replace("local_crops: 6", "sizes: '96, 64'"))
    with pytest.raises(UserError, match=r"^r.yaml:3: augment.sizes: .* got '96, 64'; write \[96, 64\]$"):
        load_recipe("r.yaml", (), registry())
    with pytest.raises(UserError, match=r"overrides: augment.sizes: .*; write \[96, 64\]$"):
        load_recipe("r.yaml", overrides_from({"augment.sizes": "96,64"}), registry())


def test_a_part_that_is_a_folder_is_answered_in_a_file_as_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("r.yaml").write_text("base: quickstart\ndata: photos\n")
    with pytest.raises(UserError, match=r"r.yaml:2: data: .*write \{name: image_folder, root: photos\}$"):
        load_recipe("r.yaml")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("model: resnet50", "model: there is no such section; did you mean 'backbone'?"),
        ("lr: 0.1", "lr: there is no such section; did you mean 'optimizer.lr'?"),
        ("num_epochs: 3", "num_epochs: there is no such section; did you mean 'train.epochs'?"),
        ("train: {learning_rate: 0.1}", "train.learning_rate: there is no such key here; did you mean 'optimizer.lr'?"),
    ],
)
def test_keys_of_other_tools_in_a_recipe_are_answered_with_ours(line: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"base: quickstart\n{line}\n")
    with pytest.raises(UserError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert str(caught.value).endswith(hint)


# --- the tables are true -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", synonyms.KEYS)
def test_every_key_of_the_table_exists(key: str) -> None:
    name, _, inner = key.partition(".")
    section = SECTIONS[name]
    if not inner:
        return
    if section.settings is not None:
        assert inner in options_of(section.settings)
        return
    option = inner.split(".")[0]
    assert any(option in parameters_of(part) for part in load_registry().parts if part.kind == section.kind), key


def test_flags_and_commands_of_the_tables_exist(capsys: Capture) -> None:
    helps = {}
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        helps[name] = capsys.readouterr().out
    for flag in (*synonyms.FLAGS, *(flag for _, flag, _ in synonyms.SENTENCES)):
        assert any(re.search(rf"^  (?:-\w, )?{flag}\b", text, re.M) for text in helps.values()), flag
    assert [meant for meant in synonyms.COMMANDS if not meant.startswith("-") and meant.split()[0] not in COMMANDS] in (
        [], ["predict"],
    )  # fmt: skip
    for meant in synonyms.COMMANDS:
        command, _, action = meant.partition(" ")
        assert action in helps.get(command, "")


def test_no_word_stands_for_two_keys() -> None:
    words = [word for of in (synonyms.KEYS, synonyms.COMMANDS, synonyms.FLAGS) for word in of.values()]
    for table in (synonyms.KEYS, synonyms.COMMANDS):
        words = [word for listed in table.values() for word in listed.split()]
        assert [word for word in words if words.count(word) > 1] == []
        assert [word for word in words if word != word.lower() or "-" in word] == []


# --- nearest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("SGD", ["adamw", "sgd"], "did you mean 'sgd'?"),
        ("local-crops", ["local_crops"], "did you mean 'local_crops'?"),
        ("dino", ["dino_vits16", "dino_vitb8", "byol"], "did you mean 'dino_vitb8' or 'dino_vits16'?"),
        ("zzz", ["a", "b"], "known: a, b"),
        ("", ["abc"], "known: abc"),
        ("x", [], "there are none"),
    ],
)
def test_nearest_sees_through_capitals_dashes_and_parts_of_names(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint


def test_options_are_read_from_source_as_python_reads_them() -> None:
    for part in load_registry().parts:
        if part.name in ("vit", "knn", "ema", "multicrop", "image_folder", "sgd"):
            loaded = list(options_of(part.load(), frozenset({"channels", "image_size"})))
            assert [name for name in parameters_of(part) if name not in ("channels", "image_size")] == loaded


def test_only_a_value_that_closes_later_counts_as_split_by_the_shell() -> None:
    rest, overrides = split_overrides(["--data.root", "[img", "word"], ())
    assert rest == ["word"]
    assert overrides[0].value == "[img"
    with pytest.raises(UserError, match=r"write it in quotes: --data '\{name: digits\}'"):
        split_overrides(["--data", "{name:", "digits}"], ())
