"""docs/plugins.md is true: its file trains, and its package is found."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import sslkit
from sslkit.parts import Outputs, Position, Views

PAGE = (Path(__file__).parents[1] / "docs/plugins.md").read_text()


def code(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    file = tmp_path / "my_parts.py"
    file.write_text(code("python")[0])
    return file


def test_the_file_trains_by_the_command_shown(plugin_file: Path, run_sslkit) -> None:
    (command,) = code("sh")
    short = ["--train.epochs", "1", "--train.max_steps", "3", "--train.workers", "0", "--evaluate.knn", "null"]
    rest = ["--evaluate.knn_transformed", "null", "--evaluate.linear_cached", "null", "--evaluate.spectrum", "null"]
    done = run_sslkit(*command.split()[1:], *short, *rest)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = (plugin_file.parent / "runs/jump/metrics.csv").read_text()
    assert "match/distance" in metrics
    recipe = (plugin_file.parent / "runs/jump/recipe.yaml").read_text()
    assert "every: 50" in recipe


def test_the_parts_do_what_they_say(plugin_file: Path) -> None:
    space: dict = {}
    exec(compile(plugin_file.read_text(), str(plugin_file), "exec"), space)
    student, teacher = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    rule = space["Jump"](every=2)
    rule.update(teacher, student, Position(0, 10, 5))
    assert not torch.equal(teacher.weight, student.weight)
    rule.update(teacher, student, Position(1, 10, 5))
    assert torch.equal(teacher.weight, student.weight)
    rows = {view: torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)) for seed, view in enumerate("abc")}
    globals_only = {view: rows[view] for view in "ab"}
    views = Views((), {}, torch.arange(4), None)
    total = space["Match"](scale=2.0)(Outputs({}, rows), Outputs({}, globals_only), views, Position(0, 10, 5)).total
    unit = {view: (x / x.norm(dim=1, keepdim=True)).double().numpy() for view, x in rows.items()}
    pairs = [(s, t) for s in "abc" for t in "ab" if s != t]
    wanted = 2 * np.mean([((unit[s] - unit[t]) ** 2).sum(1).mean() for s, t in pairs])
    assert total.item() == pytest.approx(wanted, rel=1e-5)


def test_the_package_is_found_and_costs_no_torch(
    tmp_path: Path, run_sslkit, subprocess_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads(code("toml")[0])["project"]
    (entry,) = project["entry-points"]["sslkit"].items()
    package = tmp_path / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code("python")[1])
    (package / "parts.py").write_text("raise ImportError('listing parts imported their modules')\n")
    # what pip writes beside an installed package
    info = tmp_path / "site" / f"my_package-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("[sslkit]\n{} = {}\n".format(*entry))
    subprocess_env["PYTHONPATH"] = str(tmp_path / "site")
    done = run_sslkit("plugins", "list", "teacher")
    assert done.returncode == 0, done.stderr
    assert re.search(r"jump +my_package +my-package 0\.1", done.stdout)
    assert "broken" not in done.stderr
    assert sys.modules.get("my_package") is None


def test_the_file_is_offered_through_python_too(plugin_file: Path, tmp_path: Path) -> None:
    overrides = {"teacher": "jump", "loss": "match", "train.max_steps": 1, "train.workers": 0, "evaluate": None}
    result = sslkit.fit("quickstart", overrides, out=tmp_path / "run", plugins=(plugin_file,))
    assert (result.folder / "recipe.yaml").is_file()
