"""``sslkit export``: what other programs load is the same network."""

from __future__ import annotations

import re
import resource
import signal
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file

import sslkit
from sslkit.cli.main import main
from sslkit.report.export import ENDINGS
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


NETS = {
    "vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", depth=1, img_size=32, patch_size=8, in_chans=1),
        "vit --backbone.arch tiny --backbone.depth 1 --backbone.patch_size 8 --preprocess.size 32 "
        "--preprocess.channels 1 --preprocess.mean [0.5] --preprocess.std [0.5]",
    ),
    "timm": (
        lambda: timm.create_model("test_vit", img_size=64),
        "timm --backbone.arch test_vit --preprocess.size 64",
    ),
    "timm, convnet": (lambda: timm.create_model("test_resnet"), "timm --backbone.arch test_resnet"),
    "torchvision": (torchvision.models.shufflenet_v2_x0_5, "torchvision --backbone.arch shufflenet_v2_x0_5"),
    "torchvision, nested": (torchvision.models.mobilenet_v3_small, "torchvision --backbone.arch mobilenet_v3_small"),
    "xcit": (lambda: timm.create_model("xcit_nano_12_p16_224"), "timm --backbone.arch xcit_nano_12_p16_224"),
}


def made_by(said: str) -> torch.nn.Module:
    """The net that the printed Python makes, when it is pasted."""
    code = re.search(r"^load it:\n((?:  .*\n)+)", said, flags=re.MULTILINE)
    assert code is not None, said
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code[1]), names)
    net: torch.nn.Module = names["net"]
    return net


@pytest.mark.parametrize("kind", NETS)
def test_the_printed_line_rebuilds_the_net(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, words = NETS[kind]
    torch.save(make().state_dict(), "w.pth")
    assert main(["export", "--weights", "w.pth", "--backbone", *words.split(), "--to", "torch", "--out", "o.pth"]) == 0
    assert made_by(capsys.readouterr().out).state_dict().keys() == torch.load("o.pth", weights_only=True).keys()


def test_a_net_in_plain_torch_gives_the_features_too(
    convnet_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.pth"
    assert main(["export", str(convnet_run), "--to", "torch", "--out", str(out)]) == 0
    net = made_by(capsys.readouterr().out)
    images, wanted = features(convnet_run)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(images), wanted)


def test_a_stem_that_timm_does_not_have_is_named_and_another_format_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = {**TINY_VIT["backbone"], "stem": "conv"}
    changes = {"train.max_steps": 1, "train.workers": 0}
    run = sslkit.fit({**TINY_VIT, "backbone": backbone}, changes, out=tmp_path / "run").folder
    capsys.readouterr()
    file = tmp_path / "o.safetensors"
    assert main(["export", str(run), "--to", "timm", "--out", str(file)]) == 2
    assert "backbone.stem is 'conv', which timm does not have; stem: patch is timm's" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert main(["export", str(run), "--to", "safetensors", "--out", str(file)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("load it: ")]
    net = eval(line.removeprefix("load it: "), {"sslkit": sslkit})
    images, wanted = features(run)
    with torch.no_grad():
        assert torch.equal(net(images), wanted)


@pytest.mark.parametrize("to", ["torch", "safetensors", "timm"])
def test_a_failed_export_leaves_no_file(to: str, tmp_path: Path) -> None:
    file, out = tmp_path / "w.pth", tmp_path / f"o{ENDINGS[to][0]}"
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), file)
    words = ["--weights", str(file), "--backbone", "timm", "--backbone.arch", "test_vit", "--preprocess.size", "160"]
    # files may not grow beyond this, as on a disk that is full
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        code = main(["export", *words, "--to", to, "--out", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert code in (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


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
