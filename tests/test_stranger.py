"""A stranger's package with a part of every kind and every hook, installed by pip, trains from its own recipe."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

PACKAGE = Path(__file__).parent / "stranger"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package: a folder for PYTHONPATH, so that the environment of the tests stays as it is."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(PACKAGE)], check=True, timeout=300)
    return site


@pytest.fixture
def sslkit(installed: Path, tmp_path: Path, subprocess_env: dict[str, str]):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        env = subprocess_env | {"PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "sslkit", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_it_trains_and_every_hook_fires(sslkit, tmp_path: Path) -> None:
    done = sslkit("fit", "--recipe", str(PACKAGE / "recipe.yaml"), "--out", "run")
    assert done.returncode == 0, done.stderr
    fired = Counter((tmp_path / "run/diary.txt").read_text().split())
    assert fired == {
        "fit_start": 1, "step_end": 4, "epoch_end": 2, "evaluation_end": 3, "fit_end": 1,
        "rows_logged": fired["rows_logged"],
    }  # fmt: skip
    assert fired["rows_logged"] >= 3
    metrics = pd.read_csv(tmp_path / "run/metrics.csv")
    losses = metrics[metrics["name"] == "loss"]["value"]
    assert len(losses) == 4
    assert losses.nunique() == 4
    assert (metrics["name"] == "teacher/distance/mean").sum() == 3


def test_a_failing_run_is_told_to_its_watcher(sslkit, tmp_path: Path) -> None:
    words = ["--optimizer.lr", "1e30", "--clip", "null", "--head.out_dim", "400", "--train.epochs", "9"]
    done = sslkit("fit", "--recipe", str(PACKAGE / "recipe.yaml"), "--out", "run", *words)
    assert done.returncode == 1, done.stdout
    assert "not finite" in done.stderr
    assert (tmp_path / "run/diary.txt").read_text().split()[-1] == "run_failed"


def test_it_is_listed_with_its_distribution(sslkit) -> None:
    listed = sslkit("plugins", "list").stdout
    for name in (
        "stripes",
        "flips",
        "pooled",
        "affine",
        "centred",
        "average",
        "descent",
        "fading",
        "value",
        "distance",
        "diary",
    ):
        (line,) = [line for line in listed.splitlines() if line.split()[:1] == [name]]
        assert "sslkit-stranger 1.2.3" in line
    shown = sslkit("plugins", "show", "teacher", "average").stdout
    assert "of plugin 'stranger' (sslkit-stranger 1.2.3)" in shown
    assert "share: a number, default 0.5" in shown


def test_its_parts_pass_the_kit(sslkit, installed: Path, tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    (tmp_path / "test_contracts.py").write_text(
        "from sslkit.testing import plugin_checks\n\n\n"
        '@plugin_checks("stranger", {"schedule:fading": {"start": 0.1}})\n'
        "def test_contracts(check):\n    check()\n"
    )
    env = subprocess_env | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_contracts.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
