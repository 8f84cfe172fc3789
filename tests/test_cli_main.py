from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sslkit
from recipe_parts import RECIPE
from sslkit.cli import main as command_line
from sslkit.cli.main import COMMANDS, main
from sslkit.errors import RunError, Stopped

PLUGIN = """\
import recipe_parts
import sslkit

@sslkit.hookimpl
def sslkit_register(registry):
    for kind, parts in recipe_parts.PARTS.items():
        for name, target in parts.items():
            registry.add(kind, f"t_{name}", target)
"""


def run(*words: str, python: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which says at the end whether torch was imported."""
    code = f"import sys\n{python}\nfrom sslkit.cli.main import main\ncode = main({list(words)!r})\n"
    code += "sys.stderr.write('TORCH' if 'torch' in sys.modules else 'NO TORCH')\nsys.exit(code)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "usage: sslkit COMMAND"),
        (["--version"], 0, sslkit.__version__),
        ([], 2, "usage: sslkit COMMAND"),
        (["fti"], 2, "error: there is no command 'fti'; did you mean 'fit'?"),
        (["--recipe", "x"], 2, "error: name the command first"),
        (["fit", "--help"], 0, "param_groups"),
        (["eval", "--help"], 0, "sslkit eval (RUN | --weights FILE --backbone ...) [EVALUATOR]"),
        (["embed", "--help"], 0, "sslkit embed (RUN | --weights FILE --backbone ...) --out FILE"),
        (["plugins", "list"], 0, "sslkit_vision"),
        (["plugins", "lst"], 2, "error: there is no action 'lst'; did you mean 'list'?"),
        (["recipes", "list"], 0, "quickstart"),
        (["recipes", "show", "quickstart"], 0, "sslkit fit --recipe recipes/quickstart.yaml"),
        (["fit"], 2, "error: sslkit fit: the following arguments are required: --recipe"),
        (["fit", "--recipe", "quickstat"], 2, "error: there is no recipe 'quickstat'; did you mean 'quickstart'?"),
        (
            ["fit", "--recipe", "quickstart", "--backbone", "vitt"],
            2,
            "there is no backbone 'vitt'; did you mean 'vit'?",
        ),
        (["fit", "--recipe", "quickstart", "--trian.epochs", "3"], 2, "did you mean '--train.epochs'?"),
        (["fit", "--recpie", "quickstart"], 2, "did you mean '--recipe'?"),
        (["fit", "--recipe", "quickstart", "--head.use_bn"], 2, "it needs a value, as in `--head.use_bn VALUE`"),
    ],
)
def test_what_needs_no_torch_imports_none(words: list[str], code: int, said: str) -> None:
    done = run(*words)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert done.stderr.endswith("NO TORCH")
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "print([name for name in ('torch', 'jsonargparse', 'rich', 'numpy', 'yaml', 'pandas') if name in sys.modules])"
    )
    code = f"import sys\nfrom sslkit.cli.main import main\nmain(['--help'])\n{heavy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "sslkit", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"sslkit {sslkit.__version__}\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m sslkit plugins list | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RunError("the loss is nan"), 1, "error: the loss is nan\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (Stopped("stopped and saved", 15), 143, "stopped and saved\n"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(command_line, "_dispatch", fail)
    assert main(["fit"]) == code
    assert capsys.readouterr().err == said


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags that bring the test's parts, each as ``t_NAME``, and a recipe ``r.yaml`` that uses some."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PLUGIN)
    words = RECIPE.replace("cosine", "t_cosine")
    for name in ("folder", "crops", "net", "big", "ema", "ce", "adam"):
        words = words.replace(f"name: {name}", f"name: t_{name}")
    Path("r.yaml").write_text(words.split("evaluate:")[0] + "watch: {progress: null, csv: null, tensorboard: null}\n")
    return ["--plugin", "mine.py"]


def test_print_config_prints_a_recipe_that_reads_back(plugin: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--recipe", "r.yaml", *plugin, "--print_config"]
    assert main([*words, "--teacher", "t_frozen_epoch", "--head.use_bn", "true"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "note: --teacher t_frozen_epoch replaces t_ema: its momentum is dropped\n"
    Path("r.yaml").write_text(printed.out)
    assert main(words) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (printed.out, "")
    assert "use_bn: true" in again.out


def test_plugins_show_says_options_types_and_defaults(plugin: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "show", "head", "t_big", *plugin]) == 0
    said = capsys.readouterr().out
    assert "head 't_big', of plugin 'mine' (mine.py)" in said
    assert "out_dim: a whole number, default 65536" in said
    assert "title: text or null, default null" in said
    assert "the engine fills in: in_dim" in said
    assert main(["plugins", "show", "optimizer", "t_adam", *plugin]) == 0
    said = capsys.readouterr().out
    assert "lr: a number or a schedule, default cosine(0.0005, 1e-06, warmup_epochs=10.0)" in said


def test_plugins_show_gives_the_documentation_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "show", "cosine"]) == 0
    said = capsys.readouterr().out
    assert "warmup_epochs: a number, default 0.0" in said
    assert "length of the warm-up in epochs" in said


def test_plugins_list_of_one_kind_gives_first_lines(plugin: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list", "schedule", *plugin]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "schedule: a number for every step"
    assert any(line.split()[:2] == ["cosine", "sslkit_vision"] and "half a cosine" in line for line in lines)
    assert any(line.split()[:2] == ["t_linear", "mine"] and line.endswith("A line.") for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plugins", "show"], "name a part"),
        (["plugins", "show", "xyz"], "there is no part 'xyz'"),
        (["plugins", "show", "heat", "x"], "there is no kind 'heat'; did you mean 'head'?"),
        (["plugins", "list", "losss"], "there is no kind 'losss'; did you mean 'loss'?"),
        (["plugins", "list", "--plugin", "no.py"], "--plugin no.py: there is no such file"),
        (["plugins", "list", "--plgin", "x"], "there is no flag --plgin; did you mean '--plugin'?"),
        (["recipes", "show"], "name a recipe to show"),
        (["recipes", "show", "quick"], "there is no shipped recipe 'quick'"),
        (["eval"], "name a run, or --weights FILE"),
        (["eval", "nowhere", "--which", "both"], "invalid choice: 'both'"),
        (
            ["eval", "nowhere", "--head.use_bn", "true"],
            "--head.use_bn: the section head of a finished run cannot be changed",
        ),
        (["embed", "nowhere"], "the following arguments are required: --out"),
        (["fit", "--recipe", "r.yaml", "stray"], "unrecognized arguments: stray"),
        (["fit", "--recipe", "r.yaml", "-x"], "there is no flag -x"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1


def test_every_command_has_a_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        said = capsys.readouterr().out
        assert f"sslkit {name}" in said
        assert "example" in said


def test_fit_hands_over_the_recipe(plugin: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sslkit.report import training

    seen: list[object] = []
    take = lambda recipe, out, fresh, registry, extend: seen.append((recipe.train.epochs, out, fresh))  # noqa: E731
    monkeypatch.setattr(training, "fit_recipe", take)
    assert main(["fit", "--train.epochs", "7", "--recipe", "r.yaml", *plugin, "--out", "here", "--fresh"]) == 0
    assert seen == [(7, Path("here"), True)]


def test_a_thread_that_fails_is_a_line_and_no_traceback(tmp_path: Path) -> None:
    plugin = tmp_path / "threaded.py"
    plugin.write_text(
        "import threading, sslkit\n"
        "def fail():\n    raise FileNotFoundError('the disk is gone')\n"
        "@sslkit.hookimpl\n"
        "def sslkit_register(registry):\n"
        "    thread = threading.Thread(target=fail, name='writer')\n    thread.start()\n    thread.join()\n"
    )
    done = run("plugins", "list", "--plugin", str(plugin))
    assert done.returncode == 0, done.stderr
    assert f"WARNING: writer failed: FileNotFoundError: the disk is gone ({plugin}:3)" in done.stderr
    assert "Traceback" not in done.stderr
