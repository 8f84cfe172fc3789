"""``sslkit plugins doctor`` and ``new``, plugins that are switched off, and plugins that are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PARTS = '''
import torch
import sslkit
from sslkit.parts import Clip, Head

class Bare(Clip):
    def __call__(self, gradients):
        return torch.zeros(1)

class Untold(Clip):
    """Tells nothing of its option."""
    def __init__(self, length: float = 1.0) -> None:
        self.length = length
    def __call__(self, gradients):
        return torch.zeros(1)

class Vague(Clip):
    """Has an option without annotation."""
    def __init__(self, length=1.0) -> None:
        self.length = length
    def __call__(self, gradients):
        return torch.zeros(1)

class Misspelt(Head):
    """Its hook does not exist."""
    out_dim = 3
    def forward(self, features):
        return features
    @sslkit.hookimpl
    def before_steps(self, at):
        pass

class NoClip:
    """Is of no kind."""
'''
INIT = """
import sslkit

@sslkit.hookimpl
def sslkit_register(registry):
    for name in ("Bare", "Untold", "Vague", "NoClip", "Missing"):
        registry.clip(name.lower(), f"{__name__}_parts:{name}")
    registry.clip("global_norm", f"{__name__}_parts:Bare")
    registry.head("misspelt", f"{__name__}_parts:Misspelt")
"""


def install(site: Path, name: str, source: str, requires: str = "") -> None:
    """A distribution with one module and its entry point, as pip would leave it."""
    (site / f"{name}.py").write_text(source)
    (site / f"{name}_parts.py").write_text(PARTS)
    info = site / f"{name}-9.0.dist-info"
    info.mkdir()
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n{needs}")
    (info / "entry_points.txt").write_text(f"[sslkit]\n{name} = {name}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def sslkit(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sslkit", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_doctor_finds_nothing_in_what_ships(tmp_path: Path) -> None:
    done = sslkit("plugins", "doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("no problems found\n")


def test_the_doctor_tells_every_fault(site: Path, tmp_path: Path) -> None:
    install(site, "faulty", INIT)
    install(site, "broken", "raise ZeroDivisionError('on purpose')")
    install(site, "futuristic", INIT, requires="sslkit>=99")
    done = sslkit("plugins", "doctor", cwd=tmp_path)
    assert done.returncode == 1
    owner = "of plugin 'faulty' (faulty 9.0)"
    for sentence in (
        "broken plugin 'broken', its parts are missing: ZeroDivisionError: on purpose",
        "broken plugin 'futuristic', its parts are missing: ValueError: it needs sslkit>=99, and this is sslkit 0.1.0",
        f"the clip 'bare' {owner}: its class has no docstring",
        f"the clip 'untold' {owner}: its docstring has no line for length under Args:",
        f"the clip 'vague' {owner}: the class faulty_parts.Vague cannot be used in recipes: its option 'length' has no",
        f"the clip 'noclip' {owner} is not a Clip",
        f"the clip 'missing' {owner} cannot be imported",
        f"the head 'misspelt' {owner}: the class implements a run hook 'before_steps' that does not exist",
        "two plugins bring a clip 'global_norm': plugin 'faulty' (faulty 9.0) and plugin 'sslkit_vision'",
    ):
        assert sentence in done.stdout
    assert "10 problems found" in done.stdout


def test_a_broken_plugin_that_no_recipe_names_blocks_nothing(site: Path, tmp_path: Path) -> None:
    install(site, "broken", "raise ZeroDivisionError('on purpose')")
    assert sslkit("fit", "--recipe", "quickstart", "--print_config", cwd=tmp_path).returncode == 0
    done = sslkit("fit", "--recipe", "quickstart", "--clip", "mine", "--print_config", cwd=tmp_path)
    assert done.returncode == 2
    assert "plugin 'broken' failed to load: ZeroDivisionError: on purpose" in done.stderr


def test_a_plugin_is_switched_off(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "faulty", INIT)
    twice = sslkit("fit", "--recipe", "quickstart", "--clip", "global_norm", "--print_config", cwd=tmp_path)
    assert twice.returncode == 2
    assert "two plugins bring a clip 'global_norm'" in twice.stderr
    assert "write faulty:global_norm" in twice.stderr
    picked = ["--clip", "sslkit_vision:global_norm", "--print_config"]
    assert sslkit("fit", "--recipe", "quickstart", *picked, cwd=tmp_path).returncode == 0
    words = ["fit", "--recipe", "quickstart", "--clip", "global_norm", "--print_config"]
    assert sslkit(*words, "--no-plugins", "faulty", cwd=tmp_path).returncode == 0
    monkeypatch.setenv("SSLKIT_NO_PLUGINS", "faulty, ")
    assert sslkit(*words, cwd=tmp_path).returncode == 0
    off = sslkit("fit", "--recipe", "quickstart", "--clip", "bare", "--print_config", cwd=tmp_path)
    assert "plugin 'faulty' is switched off by SSLKIT_NO_PLUGINS" in off.stderr
    assert "switched off by SSLKIT_NO_PLUGINS" in sslkit("plugins", "doctor", cwd=tmp_path).stdout
    monkeypatch.setenv("SSLKIT_NO_PLUGINS", "fault")
    done = sslkit(*words, cwd=tmp_path)
    assert (
        done.returncode,
        "SSLKIT_NO_PLUGINS fault: there is no such plugin; did you mean 'faulty'?" in done.stderr,
    ) == (2, True)


def test_a_new_plugin_is_installed_passes_its_tests_and_trains(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    done = sslkit("plugins", "new", "sslkit-my-method", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, site = tmp_path / "sslkit-my-method", tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, timeout=300)
    env = subprocess_env | {"PYTHONPATH": str(site)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(tests, cwd=package, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    fit = [sys.executable, "-m", "sslkit", "fit", "--recipe", "recipes/my_method.yaml", "--train.max_steps", "2"]
    done = subprocess.run(fit, cwd=package, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (package / "runs/my_method/checkpoints").is_dir()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["new"], "name the package, as in"),
        (["new", "Bad--Name"], "'Bad--Name' is no name for a package"),
        (["new", "sslkit"], "a package cannot be called 'sslkit'"),
        (["new", "there"], "there is there already; choose another name"),
        (["doctor", "loss"], "it takes no words"),
        (["list", "--out", "x"], "leave --out out"),
        (["newt"], "did you mean 'new'?"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    done = sslkit("plugins", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
