"""``sslkit recipes list`` and ``keys``, and ``sslkit plugins show SECTION``: every key is documented, without torch."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from sslkit.cli.describe_section import describe_key, describe_section, engine_keys
from sslkit.cli.main import main
from sslkit.plugins.manager import load_registry
from sslkit.recipe.find import list_grids, list_recipes
from sslkit.recipe.schema import BESIDE, SECTIONS, Shape
from sslkit.recipe.signature import options_of

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_every_section_has_type_default_and_a_sentence(name: str) -> None:
    section = SECTIONS[name]
    text = describe_section(section, load_registry())
    assert text.startswith(f"{name}: {section.summary}")
    keys = engine_keys(section)
    expected = list(options_of(keys)) if keys is not None else []
    assert set(BESIDE.get(name, ())) <= set(expected)
    assert expected or section.kind, "a section has keys, or names parts"
    for key in expected:
        assert re.search(rf"^  {key}: .+, (default .+|required)\n      \S.{{10,}}$", text, re.M), key
        assert describe_key(f"{name}.{key}", load_registry()).count(f"\n  {key}: ") == 1
    if section.kind:
        assert all(part in text for part in load_registry().names(section.kind))
    if section.shape is Shape.KEYS:
        assert section.settings is keys


def test_all_sections_are_printed_without_torch() -> None:
    code = (
        "import sys\nfrom sslkit.cli.main import main\n"
        "commands = (['recipes', 'keys'], ['recipes', 'keys', 'train'], ['plugins', 'show', 'evaluate'])\n"
        "codes = [main(words) for words in commands]\n"
        "sys.exit(sum(codes) + ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("base", *SECTIONS):
        assert re.search(rf"^{name}: ", done.stdout, re.M), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("plugins show train", "  epochs: a whole number, default 100\n      passes over the data."),
        ("plugins show checkpoint", "  keep: a whole number, default 2"),
        ("plugins show preprocess", "  mean: a list (of a number), default [0.485, 0.456, 0.406]"),
        ("plugins show param_groups", "  decay_lr: true or false, default true"),
        ("plugins show evaluate", "  at_start: true or false, default false"),
        ("plugins show losses", "  weight: a number, default 1.0"),
        ("plugins show seed", "  seed: a whole number, default 0"),
        ("plugins show optimizer", "adamw, lars, sgd"),
        ("plugins show watch", "of every run, unless null removes it: progress, csv, tensorboard, collapse"),
        ("plugins show train.batch_size", "  batch_size: a whole number, default 256"),
        ("plugins show vit backbone", "backbone 'vit', of plugin"),
        ("plugins show augment multicrop", "augmenter 'multicrop', of plugin"),
        ("recipes keys train.device", "  device: one of auto, cpu, cuda"),
        ("recipes keys evaluate.knn.every", "  every: a whole number, default 0"),
        ("recipes keys base", "a recipe file that this one changes"),
    ],
)
def test_a_section_or_a_key_is_shown(words: str, said: str, capsys: Capture) -> None:
    assert main(words.split()) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("recipes keys trian", "there is no section 'trian'; did you mean 'train'?"),
        ("recipes keys train.epoch", "has no key 'epoch' of its own; did you mean 'epochs'?"),
        ("recipes keys backbone.arch", "`sslkit plugins show backbone NAME`"),
        ("plugins show backbone.arch", "`sslkit plugins show backbone NAME`"),
    ],
)
def test_an_unknown_section_or_key_is_answered_with_the_nearest(words: str, said: str, capsys: Capture) -> None:
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err


def test_a_list_of_recipes_can_be_narrowed(capsys: Capture) -> None:
    def listed(*words: str) -> list[str]:
        assert main(["recipes", "list", *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.split()[0] for line in lines if line and not line.startswith("grids")]

    everything = [shipped.name for shipped in [*list_recipes(), *list_grids()]]
    assert listed() == everything
    for word in ("dino", "FASHION", "dino_", "vits16", "dino*", "teacher"):
        plain = word.lower().strip("*")
        assert listed(word) == [name for name in everything if plain in name] != []
