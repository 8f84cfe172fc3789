"""Files of weights in exactly the layouts that the reference DINO, timm and torchvision write; nothing in them runs."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.parts import net_weights, read_weights
from tiny_run import tiny

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"
VIT = {"name": "vit", "dim": 64, "depth": 2, "heads": 2, "patch_size": 8}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def group(golden: dict[str, np.ndarray], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith(f"{name}/")}


def vit_of(golden: dict[str, np.ndarray]) -> tuple[dict[str, object], dict[str, object]]:
    c = {k: golden[f"config/{k}"].item() for k in ("dim", "depth", "heads", "patch", "img")}
    backbone = {"name": "vit", "dim": c["dim"], "depth": c["depth"], "heads": c["heads"], "patch_size": c["patch"]}
    return backbone, {"size": c["img"]}


def training_file(golden: dict[str, np.ndarray], path: Path) -> Path:
    """A checkpoint.pth of main_dino.py: DDP's prefix in the student, the arguments' Namespace inside."""
    student, teacher = group(golden, "final_student"), group(golden, "final_teacher")
    torch.save(
        {
            "student": {f"module.{key}": value for key, value in student.items()},
            "teacher": teacher,
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
            "epoch": 100,
            "args": argparse.Namespace(arch="vit_small", patch_size=16, data_path="/data"),
            "dino_loss": {"center": torch.zeros(1, 4)},
        },
        path,
    )
    return path


@pytest.mark.parametrize("layout", ["plain", "module", "backbone", "state_dict", "model", "safetensors", "training"])
def test_features_of_every_layout_equal_the_references(
    layout: str, golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    student = group(golden, "final_student")
    plain = {k.removeprefix("backbone."): v for k, v in student.items() if k.startswith("backbone.")}
    file = tmp_path / ("weights.safetensors" if layout == "safetensors" else "weights.pth")
    if layout == "safetensors":
        save_file(plain, file)
    elif layout == "training":
        training_file(golden, file)
    else:
        prefix = {"module": "module.", "backbone": "module.backbone."}.get(layout, "")
        stored = {f"{prefix}{key}": value for key, value in plain.items()}
        torch.save({layout: stored} if layout in ("state_dict", "model") else stored, file)
    backbone, preprocess = vit_of(golden)
    which = "student" if layout == "training" else None
    net = sslkit.load_backbone(file, which, backbone=backbone, preprocess=preprocess)
    with torch.no_grad():
        for image, feature in (("image", "cls_feature"), ("rect_image", "rect_cls_feature")):
            found = net(torch.from_numpy(golden[f"probe/{image}"]).float())
            wanted = torch.from_numpy(golden[f"probe/{feature}"])
            assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        attention = net.backbone.attention(torch.from_numpy(golden["probe/image"]).float())
    assert (attention - torch.from_numpy(golden["probe/last_attention"])).abs().max() <= 1e-5


def test_a_training_file_gives_its_teacher_with_the_head_unless_asked(
    golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    file = training_file(golden, tmp_path / "checkpoint.pth")
    found = net_weights(file)
    assert found.net == "teacher"
    teacher = group(golden, "final_teacher")
    for part, weights in (("backbone", found.backbone), ("head", found.head)):
        wanted = {k.removeprefix(f"{part}."): v for k, v in teacher.items() if k.startswith(f"{part}.")}
        assert weights.keys() == wanted.keys()
        assert all(torch.equal(weights[key], wanted[key]) for key in wanted)


def test_resnet_and_xcit_files_load_under_their_official_names(tmp_path: Path) -> None:
    resnet = torchvision.models.resnet18()
    resnet.fc = torch.nn.Identity()
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    images = torch.randn(2, 3, 64, 64)
    net = sslkit.load_backbone(
        tmp_path / "resnet.pth", backbone={"name": "torchvision", "arch": "resnet18"}, preprocess={"size": 64}
    )
    with torch.no_grad():
        torch.testing.assert_close(net(images), resnet.eval()(images))

    xcit = timm.create_model("xcit_nano_12_p16_224", num_classes=0).eval()
    torch.save(officially_named(xcit.state_dict()), tmp_path / "xcit.pth")
    net = sslkit.load_backbone(
        tmp_path / "xcit.pth", backbone={"name": "timm", "arch": "xcit_nano_12_p16_224"}, preprocess={"size": 64}
    )
    with torch.no_grad():
        torch.testing.assert_close(net(images), xcit(images))


def officially_named(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """XCiT's own names: one qkv in the class attention, and ``pos_embeder``."""
    named = {key.replace("pos_embed.", "pos_embeder."): value for key, value in state.items()}
    for block in {key.split(".attn.q.")[0] for key in state if ".attn.q." in key}:
        for kind in ("weight", "bias"):
            parts = [named.pop(f"{block}.attn.{letter}.{kind}", None) for letter in "qkv"]
            if all(part is not None for part in parts):
                named[f"{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return named


def small_vit() -> dict[str, Tensor]:
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1, embed_dim=64, num_heads=1).state_dict()


def changed(**changes: object) -> dict[str, object]:
    state: dict[str, object] = dict(small_vit())
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


MISFITS = {
    "missing": (changed(norm__bias=None), "missing: norm.bias"),
    "left over": (changed(fc__weight=torch.zeros(1)), "left over: fc.weight"),
    "misshaped": (changed(norm__bias=torch.zeros(3)), "of another shape: norm.bias (3,) for (64,)"),
    "not finite": (changed(norm__bias=torch.full((64,), float("nan"))), "norm.bias holds values that are not finite"),
    "no tensor": (changed(epoch=3), "'epoch' is no tensor"),
    "a list": ([1, 2], "holds a list instead of named weights"),
    "empty": ({}, "it is empty"),
}


@pytest.mark.parametrize(("stored", "sentence"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_one_sentence(
    stored: object, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(stored, tmp_path / "w.pth")
    words = ["--backbone", "vit", "--backbone.dim", "64", "--backbone.depth", "1", "--backbone.heads", "1"]
    assert main(["eval", "--weights", str(tmp_path / "w.pth"), *words, "knn"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_the_architecture_that_would_fit_is_named(tmp_path: Path) -> None:
    torch.save(timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict(), tmp_path / "tiny.pth")
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "fc.pth")
    with pytest.raises(
        UserError, match=r"they would fit --backbone vit --backbone\.arch tiny --backbone\.patch_size 16"
    ):
        sslkit.load_backbone(tmp_path / "tiny.pth", backbone={"name": "vit", "patch_size": 8})
    with pytest.raises(UserError, match=r"they would fit --backbone torchvision --backbone\.arch resnet34"):
        sslkit.load_backbone(tmp_path / "fc.pth", backbone={"name": "torchvision", "arch": "resnet18"})


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("canary"),)


def test_nothing_in_a_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"student": Trap()}, "trap.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    for name in ("trap.pth", "bare.pth"):
        with pytest.raises(UserError, match=r"could run code|cannot be read as weights"):
            read_weights(name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_of_another_kind_is_one_sentence(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_weights(tmp_path / name)


def test_a_run_is_judged_and_embedded_by_its_file_of_weights_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = sslkit.fit(tiny(), {"train.max_steps": 1, "evaluate.knn": None}, out="run").folder
    (file,) = run.glob("checkpoints/*/weights.safetensors")
    words = ["--weights", str(file), "--backbone", "small_convnet", "--backbone.widths", "[8, 16]",
             "--preprocess.size", "16", "--data", "digits", "--train.workers", "0"]  # fmt: skip
    assert main(["eval", str(run), "knn", "--evaluate.knn.k", "[5]"]) == 0
    assert main(["eval", *words, "knn", "--evaluate.knn.k", "[5]"]) == 0
    first, second = (
        (folder / "results.json").read_text() for folder in (run / "evaluations", Path("evaluations/weights"))
    )
    assert '"k5_top1"' in first
    assert first.split('"values"')[1] == second.split('"values"')[1]
    assert main(["embed", *words, "--out", "f.npz"]) == 0
    assert np.load("f.npz")["features"].shape == (1797, 16)
    capsys.readouterr()
    for wrong, sentence in [
        (["eval", *words[:6], "knn"], "which images? Name them"),
        (["eval", str(run), *words, "knn"], "give one"),
        (["eval", str(run), "--backbone", "vit"], "the section backbone of a finished run cannot be changed"),
        (["eval", "--weights", str(file), "knn"], "which backbone are these weights of?"),
    ]:
        assert main(wrong) == 2
        assert sentence in capsys.readouterr().err
