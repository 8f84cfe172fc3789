"""What a part refuses when it is built is told where it stands, before anything is trained."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from tiny_run import command, environment, tiny, write


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of five lines over a base; the current folder is theirs."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, tiny())
    Path("mine.yaml").write_text("base: tiny.yaml\naugment:\n  flip: 2\nevaluate:\n  knn: {k: [5000]}\n")
    return Path("mine.yaml")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "mine.yaml:3: augment.flip is 2.0: it must be from 0 to 1"),
        (["--augment.flip", "0"], "mine.yaml:5: evaluate.knn.k: 5000 neighbours are more than the 1437 train images"),
        (["--augment.flip", "3"], "command line: --augment.flip is 3.0: it must be from 0 to 1"),
        (["--augment.flip=0", "--head.out_dim", "0"], "command line: --head.out_dim is 0: it must be 1 or more"),
        (["--augment.flip=0", "--teacher.momentum", "1.5"], "command line: --teacher.momentum is 1.5 in the course"),
        (["--augment.flip=0", "--teacher.momentum.end", "-1"], "command line: --teacher.momentum.end is -1.0: a sched"),
        (["--augment.flip=0", "--train.batch_size", "5000"], "command line: --train.batch_size: 5000 is more than the"),
    ],
)  # fmt: skip
def test_the_place_is_the_options_own(
    recipe: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--recipe", str(recipe), *words]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"error: {expected}")
    assert not Path("runs/mine/checkpoints").exists()


def test_an_option_that_was_not_given_is_told_at_its_section(recipe: Path) -> None:
    data = yaml.safe_load(Path("tiny.yaml").read_text())
    data["augment"]["global_crops"] = 1
    data["augment"]["local_crops"] = 0
    Path("tiny.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(UserError, match=r"tiny\.yaml:\d+ \(loss\): the loss 'dino' compares different views"):
        sslkit.fit("tiny.yaml")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["quickstart"], "the recipe needs its flag: --recipe quickstart"),
        (["--recipe", "a", "--recipe", "b"], "--recipe is given 2 times; give it once"),
        (["--recipe", "quickstart", "--plugin", "."], "--plugin .: that is a folder"),
    ],
)
def test_flags_that_are_used_wrongly(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_run_that_is_shorter_than_its_warm_up_is_warned_of(recipe: Path, caplog: pytest.LogCaptureFixture) -> None:
    quick = {"train.max_steps": 1, "evaluate.knn": None}
    with caplog.at_level(logging.WARNING, logger="sslkit"):
        sslkit.fit("tiny.yaml", quick, out="fine")
        # a line down to zero falls, although its last value is that of a warm-up's first step
        sslkit.fit("tiny.yaml", {**quick, "optimizer.lr": {"linear": [0.001, 0]}}, out="falling")
        assert not caplog.records
        sslkit.fit("tiny.yaml", {**quick, "optimizer.lr.warmup_epochs": 5}, out="short")
    assert "the learning rate only rises until the run ends" in caplog.text


def test_more_outputs_than_images_are_warned_of(recipe: Path, caplog: pytest.LogCaptureFixture) -> None:
    quick = {"train.max_steps": 1, "evaluate.knn": None}
    sslkit.fit("tiny.yaml", {**quick, "head.out_dim": 1437}, out="as_many")
    assert "outputs, more than" not in caplog.text
    sslkit.fit("tiny.yaml", {**quick, "head.out_dim": 1438}, out="more")
    assert "the head has 1438 outputs, more than the 1437 training images" in caplog.text


def test_a_reader_that_goes_away_does_not_stop_the_training(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(watch={"progress": {}}))
    words = " ".join(f"'{word}'" for word in command(file, "--out", "run"))
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -c 1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.json").is_file()


def test_tables_are_whole_where_the_output_is_a_file(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from sslkit.report.closing import show_results\n"
        "name = 'teacher/an_evaluator_of_a_really_long_name_indeed/k20_top1_of_transformed_images'\n"
        "show_results(Path('x'), {name: 98.5, 'seconds': 1.0, 'images_per_second': 2.0, 'steps': 1})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True,
        env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    assert "teacher/an_evaluator_of_a_really_long_name_indeed/k20_top1_of_transformed_images" in done.stdout
    assert "trained 1 step in" in done.stdout


def test_load_backbone_takes_plugins_and_nets_as_a_person_writes_them(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import sslkit\n"
        "from sslkit_dino.teachers import StudentCopy\n"
        "@sslkit.hookimpl\n"
        "def sslkit_register(registry):\n"
        "    registry.teacher('mine', StudentCopy)\n"
    )
    short = {"train.max_steps": 1, "evaluate.knn": None, "teacher": "mine"}
    out = sslkit.fit(tiny(), short, out=tmp_path / "run", plugins=str(plugin)).folder
    assert sslkit.load_backbone(out, plugins=[str(plugin)]).embed_dim > 0
    with pytest.raises(UserError, match="holds no studnt; did you mean 'student'?"):
        sslkit.load_backbone(out, "studnt", plugins=str(plugin))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"there is no teacher 'mine'; .*--plugin FILE\.py"):
        sslkit.load_backbone(out)


def test_images_of_which_none_can_be_read_are_refused_before_training(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken").mkdir()
    for number in range(130):
        Path(f"broken/{number:03}.jpg").write_text("404")
    words = ["--augment.flip=0", "--evaluate=null", "--data=image_folder", "--data.root=broken"]
    assert main(["fit", "--recipe", str(recipe), *words]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"error: command line \(--data\): 20 images were tried and not one can be read; the first: 000\.jpg: "
        "not an image of a type that Pillow knows", told
    )  # fmt: skip
    assert not Path("runs/mine/checkpoints").exists()


def test_what_eval_and_embed_cannot_do_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = sslkit.fit(tiny(), {"train.max_steps": 1, "evaluate.knn": None}, out=tmp_path / "run").folder
    capsys.readouterr()
    assert main(["eval", str(out), "attention"]) == 2
    assert "/run: it needs the capability attention" in capsys.readouterr().err
    # an option may stand between the words
    assert main(["eval", str(out), "--train.workers", "0", "--which", "student", "spectrum"]) == 0
    assert "student/spectrum/" in capsys.readouterr().out
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no image")
    words = ["--data", "image_folder", "--data.root", str(tmp_path / "broken"), "--out", str(tmp_path / "f.npz")]
    assert main(["embed", str(out), *words]) == 2
    assert "not one image of the data could be read; the first: x.png" in capsys.readouterr().err
    assert not (tmp_path / "f.npz").exists()
