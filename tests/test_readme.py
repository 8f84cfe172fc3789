"""The README's commands, pasted one after the other into one folder, do what a reader expects."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import readme_excerpt
from forked import fork, sslkit_main, wait
from plain_environment import PLAIN

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

#: What is added to a command so that it takes seconds: nothing else about it changes.
SHORTENED = {
    "fit": ["--train.max_steps", "2", "--train.workers", "0"],
    "eval": ["--evaluate.knn.k", "[5]"],
    "ablate": ["--dry-run"],
    "bench": ["--steps", "1", "--train.workers", "0"],
}
#: Where the test's own images of Debian's package lie.
FASHION = ["--data.root", "FASHION"]


def commands() -> list[str]:
    """The command lines of the README's indented blocks, in order; `a && b` is two."""
    outside = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    lines = re.findall(r"^    ((?:sslkit|python|torchrun|pip|pytest|sudo) .*)$", outside, flags=re.MULTILINE)
    return [command.strip() for line in lines for command in line.split("&&")]


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def runnable() -> Iterator[list[str]]:
    """The words after ``sslkit`` of what runs here, shortened; a run on several GPUs is resolved and printed."""
    for command in commands():
        program, *words = words_of(command)
        if program == "sslkit":
            fashion = FASHION if any(word.endswith("_fashion") for word in words) else []
            yield [*words, *fashion, *SHORTENED.get(words[0], [])]
        elif program == "torchrun":
            yield [*words[words.index("sslkit") + 1 :], "--print_config"]


def folder_of_images(root: Path, count: int) -> None:
    """A folder with two splits and two classes, each of this many images."""
    draws = np.random.default_rng(0)
    for place in itertools.product(("train", "val"), ("cat", "dog")):
        folder = root.joinpath(*place)
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draws.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(folder / f"{number}.png")


def fashion_mnist(root: Path, count: int) -> None:
    """Four IDX files of this many random images each."""
    root.mkdir()
    draws = np.random.default_rng(0)
    for split in ("train", "t10k"):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            head = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            values = draws.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)
            (root / f"{split}-{kind}-ubyte").write_bytes(head + values.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as a reader has it, with what the README's words in capitals stand for."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("recipes", "tests"):
        (folder / name).symlink_to(ROOT / name)
    folder_of_images(folder / "DIR", 36)
    folder_of_images(folder / "IMAGENET", 8)
    fashion_mnist(folder / "FASHION", 256)
    (folder / "DIR2").mkdir()
    Image.new("RGB", (80, 60), (200, 30, 30)).save(folder / "photo.jpg")
    small = timm.create_model("vit_small_patch16_224", num_classes=0)
    torch.save(small.state_dict(), folder / "dino_deitsmall16_pretrain.pth")
    return folder


def in_folder(folder: Path, work: Callable[[], int | None]) -> tuple[int, str]:
    """Exit code and output of a forked process in the folder."""

    def inside() -> int | None:
        os.chdir(folder)
        os.environ.update(PLAIN)
        return work()

    log = folder / "said.txt"
    log.unlink(missing_ok=True)
    code = wait(fork(inside, log))
    return code, log.read_text()


def run_python(source: str) -> None:
    exec(compile(source, "README.md", "exec"), {})


def test_commands_and_python_work_in_the_order_in_which_they_stand(folder: Path) -> None:
    failures = {}
    for words in runnable():
        code, said = in_folder(folder, sslkit_main(*words))
        if code:
            failures[shlex.join(["sslkit", *words])] = (code, said[-600:])
    for source in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        code, said = in_folder(folder, lambda source=source: run_python(source))
        if code:
            failures[source] = (code, said[-600:])
    assert not failures


def test_every_command_is_run_or_checked_otherwise() -> None:
    checked = ("sslkit ", "torchrun ", "pip install ", "pytest ", "sudo apt ", "python -m sslkit_dino.golden ")
    assert [command for command in commands() if not command.startswith(checked)] == []
    assert len(list(runnable())) > 15


def test_what_pip_installs_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\.\[(\w+)\]", README)
    assert named
    assert set(named) <= extras.keys()


def test_ci_runs_the_test_command() -> None:
    tests = [command for command in commands() if command.startswith("pytest")]
    assert len(tests) == 1
    assert f"\n{words_of(tests[0])[0]} {' '.join(words_of(tests[0])[1:])}\n" in (ROOT / ".ci" / "run").read_text()


def test_excerpts_are_those_of_the_recipes() -> None:
    assert readme_excerpt.renewed(README) == README, "run: python tests/readme_excerpt.py"
