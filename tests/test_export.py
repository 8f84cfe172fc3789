"""``sslkit export``: what other programs load is the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file

import sslkit
from sslkit.cli.main import main
from tiny_run import TINY_VIT, tiny


@pytest.fixture(scope="module")
def vit_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vit") / "run"
    return sslkit.fit(TINY_VIT, {"train.max_steps": 2, "train.workers": 0}, out=out).folder


@pytest.fixture(scope="module")
def convnet_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("convnet") / "run"
    return sslkit.fit(tiny(), {"train.max_steps": 2, "evaluate.knn": None}, out=out).folder


def features(run: Path) -> tuple[torch.Tensor, torch.Tensor]:
    net = sslkit.load_backbone(run)
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return images, net(images)


def test_timm_loads_the_teacher_with_nothing_missing(
    vit_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vit.safetensors"
    assert main(["export", str(vit_run), "--to", "timm", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    # the line that is printed is a line that works
    (call,) = [line.split("load it: ")[1] for line in said.splitlines() if "checkpoint_path" in line]
    net = eval(call, {"timm": timm}).eval()
    images, wanted = features(vit_run)
    with torch.no_grad():
        torch.testing.assert_close(net(images), wanted, rtol=1e-5, atol=1e-6)
    student = tmp_path / "student.safetensors"
    assert main(["export", str(vit_run), "--to", "timm", "--which", "student", "--out", str(student)]) == 0
    assert any(not torch.equal(load_file(file)[key], value) for key, value in load_file(student).items())


@pytest.mark.parametrize(("to", "ending"), [("torch", ".pth"), ("safetensors", ".safetensors")])
def test_plain_files_are_taken_back(to: str, ending: str, convnet_run: Path, tmp_path: Path) -> None:
    file = tmp_path / f"net{ending}"
    assert main(["export", str(convnet_run), "--to", to, "--out", str(file)]) == 0
    net = sslkit.load_backbone(file, backbone={"name": "small_convnet", "widths": [8, 16]}, preprocess={"size": 16})
    images, wanted = features(convnet_run)
    with torch.no_grad():
        assert torch.equal(net(images), wanted)


@pytest.mark.parametrize("kind", ["vit_run", "convnet_run"])
def test_onnx_gives_the_same_features_for_any_batch(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run: Path = request.getfixturevalue(kind)
    file = tmp_path / "net.onnx"
    assert main(["export", str(run), "--to", "onnx", "--out", str(file)]) == 0
    images, wanted = features(run)
    session = onnxruntime.InferenceSession(str(file))
    for count in (1, 3):
        (found,) = session.run(None, {"images": images[:count].numpy()})
        np.testing.assert_allclose(found, wanted[:count], rtol=1e-4, atol=1e-5)


def test_a_file_of_weights_is_exported_too(tmp_path: Path) -> None:
    resnet = torchvision.models.resnet18()
    resnet.fc = torch.nn.Identity()
    torch.save({"state_dict": {f"module.{k}": v for k, v in resnet.state_dict().items()}}, tmp_path / "r.pth")
    words = ["--weights", str(tmp_path / "r.pth"), "--backbone", "torchvision", "--backbone.arch", "resnet18"]
    out = tmp_path / "plain.pth"
    assert main(["export", *words, "--to", "torch", "--out", str(out)]) == 0
    state = torch.load(out, weights_only=True)
    assert state.keys() == resnet.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in resnet.state_dict().items())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "timm", "--out", "net.safetensors"], "is not one of timm's; use torch, safetensors or onnx"),
        (["--to", "timm", "--out", "net.pth"], "a file for timm ends in .safetensors"),
        (["--to", "torch", "--out", "nowhere/net.pth"], "there is no folder"),
        (["--to", "torch", "--out", "there.pth"], "there is such a file already"),
        (["--to", "caffe", "--out", "net.pth"], "invalid choice: 'caffe'"),
        (["--to", "torch", "--out", "net.pth", "--which", "teachr"], "invalid choice: 'teachr'"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, convnet_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("there.pth").touch()
    assert main(["export", str(convnet_run), *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("net.pth").exists()
