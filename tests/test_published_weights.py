"""Files of weights as published trainings write them: classifiers, heads, wrappers, two nets, other sizes."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.parts import net_weights

State = dict[str, Tensor]
RESNET = {"name": "torchvision", "arch": "resnet18"}
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@cache
def resnet(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = torchvision.models.resnet18()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return net.eval()


@cache
def features(net: nn.Module) -> Tensor:
    bare = torchvision.models.resnet18()
    bare.fc = nn.Identity()
    bare.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith("fc.")})
    with torch.no_grad():
        return bare.eval()(IMAGES)


def behind(prefix: str, net: nn.Module, *, fc: str = "fc") -> State:
    """A net's tensors behind a prefix; its classifier under another name, or without one for ``""``."""
    state = {f"{prefix}{key}": value for key, value in net.state_dict().items() if not key.startswith("fc.")}
    return state | ({f"{prefix}{fc}.weight": torch.ones(3, 512), f"{prefix}{fc}.bias": torch.ones(3)} if fc else {})


def numbered(net: nn.Module) -> State:
    order = {name: str(number) for number, (name, _) in enumerate(net.named_children())}
    named = {key: (order[key.split(".")[0]], key.partition(".")[2]) for key in net.state_dict()}
    return {f"{top}.{rest}": net.state_dict()[key] for key, (top, rest) in named.items() if not key.startswith("fc.")}


def with_prefix(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


MLP = {"0.weight": torch.ones(4, 4), "2.weight": torch.ones(4, 4)}
#: Each makes a file of the nets (published, other); loading it must give the first.
LAYOUTS: dict[str, Callable[[nn.Module, nn.Module], object]] = {
    "torchvision": lambda net, _: net.state_dict(),
    "swav": lambda net, _: behind("module.", net, fc="") | with_prefix("module.projection_head.", MLP)
    | {"module.prototypes.weight": torch.ones(5, 4)},
    "swav with several prototypes": lambda net, _: {"state_dict": behind("module.", net, fc="")
    | {"module.prototypes.prototypes0.weight": torch.ones(5, 4)}, "epoch": 3},
    "moco v1": lambda net, other: {"state_dict": behind("module.encoder_q.", net) | behind("module.encoder_k.", other)
    | {"module.queue": torch.ones(4, 8), "module.queue_ptr": torch.zeros(1)}, "arch": "resnet18"},
    "moco v2": lambda net, other: {"state_dict": behind("module.encoder_q.", net, fc="fc.2")
    | behind("module.encoder_k.", other, fc="fc.2") | {"module.queue": torch.ones(4, 8)}},
    "moco v3": lambda net, other: {"state_dict": behind("module.base_encoder.", net, fc="fc.0")
    | behind("module.momentum_encoder.", other, fc="fc.0") | with_prefix("module.predictor.", MLP)},
    "simsiam": lambda net, _: {"state_dict": behind("module.encoder.", net, fc="fc.6")
    | with_prefix("module.predictor.", MLP)},
    "barlow, whole": lambda net, _: {"model": behind("module.backbone.", net, fc="")
    | with_prefix("module.projector.", MLP) | {"module.bn.running_mean": torch.ones(4)}, "epoch": 1},
    "barlow, backbone": lambda net, _: behind("", net, fc=""),
    "byol, two files in one": lambda net, other: {
        "online_network_state_dict": with_prefix("encoder.", numbered(net)) | with_prefix("projetion.net.", MLP),
        "target_network_state_dict": with_prefix("encoder.", numbered(other)), "optimizer_state_dict": {"state": {}}},
    "byol, online encoder": lambda net, other: behind("online_encoder.net.", net)
    | with_prefix("online_encoder.projector.net.", MLP) | with_prefix("online_predictor.net.", MLP)
    | behind("target_encoder.net.", other),
    "byol, lightning": lambda net, other: {"state_dict": behind("online_network.encoder.", net)
    | with_prefix("online_network.projector.model.", MLP) | behind("target_network.encoder.", other)},
    "momentum backbone": lambda net, other: {"state_dict": behind("backbone.", net, fc="")
    | behind("momentum_backbone.", other, fc="") | with_prefix("momentum_projector.", MLP)},
    "compiled": lambda net, _: behind("_orig_mod.", net),
    "compiled in DDP": lambda net, _: behind("module._orig_mod.", net),
    "compiled backbone": lambda net, _: behind("model.backbone._orig_mod.", net),
    "lightning model": lambda net, _: {"state_dict": behind("model.", net), "pytorch-lightning_version": "2.6"},
    "lightning backbone": lambda net, _: {"state_dict": behind("backbone.", net)
    | with_prefix("projection_head.layers.", MLP)},
    "numbered children": lambda net, _: {"state_dict": with_prefix("backbone.", numbered(net))},
    "averaged": lambda net, other: {"state_dict": other.state_dict(), "state_dict_ema": net.state_dict()},
    "no counters": lambda net, _: {k: v for k, v in net.state_dict().items() if "num_batches_tracked" not in k},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_layout_gives_the_features_of_its_net(layout: str, tmp_path: Path) -> None:
    net, other = resnet(1), resnet(2)
    torch.save(LAYOUTS[layout](net, other), tmp_path / "w.pth")
    found = sslkit.load_backbone(tmp_path / "w.pth", backbone=RESNET, preprocess={"size": 64})
    with torch.no_grad():
        torch.testing.assert_close(found(IMAGES), features(net))


@pytest.mark.parametrize("layout", ["moco v1", "moco v3", "byol, lightning", "momentum backbone"])
def test_the_other_net_is_there_for_who_asks(layout: str, tmp_path: Path) -> None:
    net, other = resnet(1), resnet(2)
    torch.save(LAYOUTS[layout](net, other), tmp_path / "w.pth")
    assert net_weights(tmp_path / "w.pth").net == "student"
    found = sslkit.load_backbone(tmp_path / "w.pth", "teacher", backbone=RESNET, preprocess={"size": 64})
    with torch.no_grad():
        torch.testing.assert_close(found(IMAGES), features(other))


def test_what_is_dropped_is_said_and_nothing_else_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = resnet(1).state_dict()
    file = tmp_path / "w.pth"
    torch.save(state, file)
    words = ["--backbone", "torchvision", "--backbone.arch", "resnet18"]
    assert main(["export", "--weights", str(file), *words, "--to", "torch", "--out", str(tmp_path / "o.pth")]) == 0
    assert f"{file}: dropped, not part of the backbone: fc.weight, fc.bias" in capsys.readouterr().out
    for key in ("head.weight", "extra.weight", "layer5.0.conv1.weight"):
        torch.save({**state, key: torch.ones(2)}, file)
        with pytest.raises(UserError, match=f"left over: {key}"):
            sslkit.load_backbone(file, backbone=RESNET)
    for missing in ("bn1.running_mean", "layer1.0.conv1.weight"):
        torch.save({key: value for key, value in state.items() if key != missing}, file)
        with pytest.raises(UserError, match=f"missing: {missing}"):
            sslkit.load_backbone(file, backbone=RESNET)
    torch.save({**with_prefix("backbone.", state), "neck.weight": torch.ones(2)}, file)
    with pytest.raises(UserError, match=r"beside backbone\.\* and head\.\* it holds neck\.weight"):
        sslkit.load_backbone(file, backbone=RESNET)


def vit_file(path: Path, arch: str = "vit_tiny_patch16_224", **options: object) -> State:
    torch.manual_seed(3)
    state: State = timm.create_model(arch, depth=2, **options).state_dict()
    torch.save(state, path)
    return state


TINY = {"name": "vit", "arch": "tiny", "depth": 2}


def test_position_embeddings_are_resampled_as_the_reference_does_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    vit_file(file)
    size = {"size": 96}
    with pytest.raises(UserError, match=r"with --backbone\.resample_positions true their position embeddings"):
        sslkit.load_backbone(file, backbone=TINY, preprocess=size)
    asked = sslkit.load_backbone(file, backbone={**TINY, "resample_positions": True}, preprocess=size)
    own = sslkit.load_backbone(file, backbone=TINY)
    images = torch.randn(2, 3, 96, 96)
    assert asked.backbone.plain().pos_embed.shape[1] == 37
    with torch.no_grad():
        torch.testing.assert_close(asked(images), own(images))


def test_timm_resamples_as_timm_does_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    state = timm.create_model("test_vit", img_size=224).state_dict()
    torch.save(state, file)
    backbone = {"name": "timm", "arch": "test_vit"}
    with pytest.raises(UserError, match=r"of another shape: pos_embed.*with --backbone\.resample_positions true"):
        sslkit.load_backbone(file, backbone=backbone, preprocess={"size": 96})
    asked = sslkit.load_backbone(file, backbone={**backbone, "resample_positions": True}, preprocess={"size": 96})
    wanted = timm.layers.resample_abs_pos_embed(state["pos_embed"], [6, 6])
    torch.testing.assert_close(asked.backbone.plain().pos_embed.detach(), wanted)


def test_flags_that_would_fit_include_size_and_channels_and_do_fit(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    state: State = timm.create_model("vit_tiny_patch16_224", img_size=96, in_chans=1).state_dict()
    torch.save(state, file)
    with pytest.raises(UserError) as caught:
        sslkit.load_backbone(file, backbone={"name": "vit", "arch": "small"}, preprocess={"size": 224})
    flags = str(caught.value).split("they would fit ")[1]
    assert "--preprocess.size 96" in flags
    assert "--preprocess.channels 1" in flags
    words = shlex.split(flags)
    assert main(["export", "--weights", str(file), *words, "--to", "torch", "--out", str(tmp_path / "o.pth")]) == 0
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    with pytest.raises(UserError, match=r"they would fit --backbone vit --backbone\.arch tiny.*--preprocess\.size 224"):
        sslkit.load_backbone(file, backbone=TINY, preprocess={"size": 64})


@pytest.mark.parametrize("options", [{"qkv_bias": False}, {"pre_norm": True}, {"reg_tokens": 4}, {"init_values": 1e-5}])
def test_flags_that_do_not_fit_are_not_named(options: dict[str, object], tmp_path: Path) -> None:
    vit_file(tmp_path / "w.pth", **options)
    for backbone in (TINY, {"name": "vit"}):
        with pytest.raises(UserError) as caught:
            sslkit.load_backbone(tmp_path / "w.pth", backbone=backbone)
        assert "fit -" not in str(caught.value)
        assert "names and shapes are those of" not in str(caught.value)


def test_what_weights_do_not_say_is_called_a_guess(tmp_path: Path) -> None:
    vit_file(tmp_path / "w.pth", mlp_ratio=2)
    with pytest.raises(UserError, match=r"names and shapes are those of .*--backbone\.mlp_ratio 2 \(heads cannot"):
        sslkit.load_backbone(tmp_path / "w.pth", backbone=TINY)
