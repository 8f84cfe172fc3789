"""Convolutional backbones: sizes, modes, copies, and errors that name the nearest architecture."""

from __future__ import annotations

import copy

import pytest
import torch

from sslkit.errors import UserError
from sslkit_vision.small_convnet import SmallConvNet
from sslkit_vision.timm_backbone import TimmBackbone
from sslkit_vision.torchvision_backbone import TorchvisionBackbone


@pytest.fixture(scope="module", params=["small", "timm convnet", "timm vit", "torchvision"])
def backbone(request):
    return {
        "small": lambda: SmallConvNet(1, 16, widths=(8, 16)),
        "timm convnet": lambda: TimmBackbone(1, 64, arch="test_resnet", drop_path_rate=0.1),
        "timm vit": lambda: TimmBackbone(1, 64, arch="test_vit"),
        "torchvision": lambda: TorchvisionBackbone(1, 64, arch="resnet18"),
    }[request.param]()


@pytest.mark.parametrize("train", [True, False])
def test_features_of_any_size_and_batch_under_bf16(backbone, train):
    net = copy.deepcopy(backbone).train(train)
    assert 64 % net.stride == 0
    for batch, height, width in [(1, 64, 64), (2, 32, 32), (2, 96, 64), (3, 96, 96)]:
        with torch.autocast("cpu", torch.bfloat16):
            features = net(torch.randn(batch, 1, height, width)).cls
        assert features.shape == (batch, net.embed_dim)
        assert features.isfinite().all()


def test_every_parameter_is_trained(backbone):
    net = copy.deepcopy(backbone).train()
    net(torch.randn(4, 1, 64, 64)).cls.square().sum().backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []


def test_small_convnet_gives_the_average_of_its_patches():
    net = SmallConvNet(3, 16, widths=(4, 8, 8)).eval()
    tokens = net(torch.randn(2, 3, 16, 8), patches=True)
    assert tokens.patches.shape == (2, 4 * 2, 8)
    torch.testing.assert_close(tokens.patches.mean(1), tokens.cls)
    assert net(torch.randn(2, 3, 1, 5)).cls.shape == (2, 8)
    assert net(torch.randn(2, 3, 16, 8)).patches is None


def test_torchvision_resnet_keeps_the_names_and_loses_the_classifier():
    net = TorchvisionBackbone(3, 64, arch="resnet18")
    assert net.embed_dim == 512
    names = set(net.net.state_dict())
    assert "layer4.1.bn2.weight" in names
    assert not any(name.startswith("fc.") for name in names)


def test_timm_has_no_classifier_and_no_pretrained_weights():
    torch.manual_seed(0)
    first = TimmBackbone(3, 64, arch="test_resnet")
    torch.manual_seed(1)
    second = TimmBackbone(3, 64, arch="test_resnet")
    assert not torch.equal(next(first.parameters()), next(second.parameters()))
    assert not any("fc" in name for name, _ in first.named_parameters())


@pytest.mark.parametrize(("make", "hint"), [
    (lambda: TimmBackbone(3, 64, arch="resnet5"), "did you mean"),
    (lambda: TimmBackbone(3, 64, arch="hf-hub:somebody/model"), "no such architecture"),
    (lambda: TorchvisionBackbone(3, 64, arch="resnet15"), "did you mean"),
    (lambda: TorchvisionBackbone(3, 64, arch="squeezenet1_0"), "linear layer"),
    (lambda: TorchvisionBackbone(3, 64, arch="vit_b_16"), "64 x 64"),
    (lambda: TimmBackbone(3, 62, arch="test_vit"), "62"),
    (lambda: TimmBackbone(3, 64, arch="test_resnet", drop_path_rate=1.0), "drop_path_rate"),
    (lambda: SmallConvNet(3, 16, widths=()), "widths"),
    (lambda: SmallConvNet(3, 16, widths=(8, 0)), "widths"),
])  # fmt: skip
def test_mistakes_are_told_in_one_sentence(make, hint):
    with pytest.raises(UserError, match=hint):
        make()
