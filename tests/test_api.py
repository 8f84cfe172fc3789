"""The Python calls: ``fit``, ``evaluate``, ``embed``, ``export``, and what a session shows of them."""

from __future__ import annotations

import inspect
import json
import pydoc
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sslkit
import sslkit.parts
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.report.results import RunResult
from tiny_run import TINY, tiny

NET = {"name": "small_convnet", "widths": [8, 16]}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished run, in a folder whose name a shell would split."""
    folder = tmp_path_factory.mktemp("api") / "my run; it's mine"
    return sslkit.fit(tiny(train={**TINY["train"], "epochs": 1}), out=folder)  # type: ignore[dict-item]


def test_the_result_of_a_run_shows_its_folder_and_headline_numbers(result: RunResult) -> None:
    shown = repr(result)
    assert str(result.folder) in shown.replace('"', "")
    assert f"teacher/knn/k5_top1={result.summary['teacher/knn/k5_top1']:.4g}" in shown
    assert f"loss={result.summary['loss']:.4g}" in shown
    assert "start/" not in shown
    assert "not finished" in repr(RunResult(result.folder, {}))


def test_printed_commands_can_be_pasted_into_a_shell(result: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--recipe", str(result.folder / "recipe.yaml"), "--out", str(result.folder)]) == 0
    said = capsys.readouterr().out
    commands = [shlex.split(line, comments=True) for line in said.splitlines() if line.startswith("  sslkit ")]
    assert ["sslkit", "eval", str(result.folder)] in commands
    assert ["sslkit", "embed", str(result.folder), "--out", "features.npz"] in commands


def test_evaluate_gives_the_numbers_that_the_command_writes(result: RunResult, tmp_path: Path) -> None:
    found = sslkit.evaluate(result.folder, "knn", {"evaluate.knn.k": np.array([3, 5])}, out=tmp_path / "python")
    assert found["teacher/knn/k5_top1"] == pytest.approx(result.summary["teacher/knn/k5_top1"])
    assert f"  teacher/knn/k3_top1={found['teacher/knn/k3_top1']:.4g}" in repr(found)
    assert main(["eval", str(result.folder), "knn", "--evaluate.knn.k", "[3, 5]", "--out", str(tmp_path / "cli")]) == 0
    written = [json.loads((tmp_path / which / "results.json").read_text()) for which in ("python", "cli")]
    assert [entry["teacher/knn"]["values"] for entry in written] == [
        {name.rpartition("/")[2]: value for name, value in found.values.items()}
    ] * 2
    assert sslkit.evaluate(result.folder, which="student").folder == result.folder / "evaluations"


def test_embed_gives_the_features_that_the_command_writes(result: RunResult, tmp_path: Path) -> None:
    found = sslkit.embed(result.folder)
    assert found.features.shape == (1797, 16)
    assert found.features.dtype == np.float32
    assert (len(found), len(found.labels), set(found.splits)) == (1797, 1797, {"train", "test"})
    assert repr(found) == "Embedding(1797 images x 16 features of the teacher, 1797 labelled)"
    assert main(["embed", str(result.folder), "--out", str(tmp_path / "f.npz")]) == 0
    with np.load(tmp_path / "f.npz") as written:
        np.testing.assert_array_equal(written["features"], found.features)
        np.testing.assert_array_equal(written["names"], found.names)
    both = sslkit.embed(result.folder, out=tmp_path / "both.npz")
    assert both.file == tmp_path / "both.npz"
    assert both.file.is_file()
    with pytest.raises(UserError, match="the file's ending names the format"):
        sslkit.embed(result.folder, out=tmp_path / "f.csv")


def test_unreadable_images_are_named_in_the_results(result: RunResult, tiny_images: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, file in enumerate(sorted((tiny_images / "train/bright").iterdir())):
        (tmp_path / "photos" / f"{number}{file.suffix}").write_bytes(file.read_bytes() if number else b"no image")
    photos = {"data": {"name": "image_folder", "root": tmp_path / "photos"}}
    found = sslkit.embed(result.folder, photos)
    assert len(found) == 5
    assert [Path(name).stem for name in found.unreadable] == ["0"]
    assert "1 unreadable" in repr(found)


def test_export_gives_the_file_and_how_it_is_loaded(result: RunResult, tmp_path: Path) -> None:
    written = sslkit.export(result.folder, "torch", tmp_path / "net.pth")
    assert written.file == tmp_path / "net.pth"
    assert f"torch.load({str(written.file)!r}" in written.load
    weights = torch.load(written.file, weights_only=True)
    assert weights.keys() == sslkit.load_backbone(result.folder).backbone.state_dict().keys()
    names: dict[str, Any] = {}
    exec(written.load, names)
    assert torch.equal(names["net"].state_dict()["net.0.weight"], weights["net.0.weight"])
    assert all(line in repr(written) for line in written.load.splitlines())
    again = sslkit.export(result.folder, "safetensors", tmp_path / "net.safetensors", which="student")
    assert load_file(again.file).keys() == weights.keys()
    with pytest.raises(UserError, match="there is such a file already"):
        sslkit.export(result.folder, "torch", tmp_path / "net.pth")
    with pytest.raises(UserError, match="there is no format 'onx'; did you mean 'onnx'"):
        sslkit.export(result.folder, "onx", tmp_path / "net.onnx")  # type: ignore[arg-type]


def test_a_file_of_weights_is_used_as_a_run_is(result: RunResult, tmp_path: Path) -> None:
    file = sslkit.export(result.folder, "torch", tmp_path / "net.pth").file
    digits = {"data": "digits", "preprocess.size": np.int64(16)}
    embedded = sslkit.embed(file, digits, backbone=NET)
    np.testing.assert_allclose(embedded.features, sslkit.embed(result.folder).features, atol=1e-6)
    values = sslkit.evaluate(file, "knn", {**digits, "evaluate.knn.k": [5]}, backbone=NET, out=tmp_path).values
    assert next(iter(values.values())) == pytest.approx(result.summary["teacher/knn/k5_top1"])


@pytest.mark.parametrize("call", [sslkit.evaluate, sslkit.embed])
def test_sections_of_a_finished_run_stay_as_they_are(call: object, result: RunResult) -> None:
    with pytest.raises(UserError, match=r"^head.out_dim: the section head of a finished run cannot be changed$"):
        call(result.folder, overrides={"head.out_dim": 3})  # type: ignore[operator]
    with pytest.raises(UserError, match=r"^backbone: the section backbone of a finished run cannot be changed$"):
        call(result.folder, overrides={"backbone": "vit"})  # type: ignore[operator]


# --- a session -----------------------------------------------------------------------------------------------------

PUBLIC = ["ablate", "embed", "evaluate", "export", "fit", "load_backbone"]


def test_dir_and_help_show_the_public_calls() -> None:
    assert set(PUBLIC) <= set(dir(sslkit))
    assert {"errors", "parts", "testing", "hookimpl", "__version__"} <= set(dir(sslkit))
    assert [name for name in dir(sslkit) if not hasattr(sslkit, name)] == []
    assert {"Loss", "Backbone", "generator"} <= set(dir(sslkit.parts))
    text = pydoc.plain(pydoc.render_doc(sslkit))
    for name in PUBLIC:
        call = getattr(sslkit, name)
        assert f"    {name}(" in text
        assert inspect.signature(call).return_annotation is not inspect.Signature.empty
        assert "Args:" in (inspect.getdoc(call) or "")


def test_completion_offers_the_public_calls_and_importing_costs_no_torch() -> None:
    code = (
        "import sys, rlcompleter, sslkit\n"
        "names = dir(sslkit)\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "completer = rlcompleter.Completer({'sslkit': sslkit})\n"
        "print([completer.complete('sslkit.e', n) for n in range(6)], completer.complete('sslkit.load', 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in ("sslkit.embed(", "sslkit.evaluate(", "sslkit.export(", "sslkit.errors", "sslkit.load_backbone("):
        assert name in done.stdout
