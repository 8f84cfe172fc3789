"""Every family of timm: the call that an export prints makes the same net, and its published files fit.

Nets are built without memory for their weights (``meta``): names and shapes decide whether weights load.
"""

from __future__ import annotations

from functools import cache

import pytest
import timm
import torch

from shapes_only import shapes_only
from sslkit.parts.weight_names import placed
from sslkit.report.how_to_load import made
from sslkit_vision.timm_backbone import TimmBackbone
from timm_families import SMALLEST

Shapes = dict[str, tuple[int, ...]]


def shapes(net: torch.nn.Module) -> Shapes:
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


@cache
def smallest(arch: str) -> TimmBackbone:
    with shapes_only():
        return TimmBackbone(3, SMALLEST.get(arch, 224), arch)


@pytest.mark.parametrize("arch", [arch for arch in SMALLEST if timm.is_model(arch)])
def test_the_call_makes_the_same_net(arch: str) -> None:
    backbone = smallest(arch)
    with shapes_only():
        assert shapes(made(backbone.source())) == shapes(backbone.plain())


#: Classifiers under different names: a norm beside, two heads, deep inside, gone with its module.
CLASSIFIERS = ["test_vit", "test_resnet", "test_convnext", "lcnet_035", "levit_128s", "repvit_m1", "shvit_s1", "vgg11",
               "deit_tiny_distilled_patch16_224", "dla46x_c", "rexnet_100", "xcit_nano_12_p8_224"]  # fmt: skip


@pytest.mark.parametrize("arch", CLASSIFIERS)
def test_a_published_file_fits_without_its_classifier(arch: str) -> None:
    backbone = smallest(arch)
    with shapes_only():
        sized = {"img_size": SMALLEST.get(arch, 224)} if "img_size" in backbone.source() else {}
        published = timm.create_model(arch, **sized).state_dict()
        found = placed(backbone, published)
    assert not found.problems
    assert found.dropped
    assert found.tensors.keys() | set(found.dropped) == published.keys()


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(
    ("arch", "size"),
    [
        ("test_vit", 224),
        ("test_vit", 64),
        ("test_convnext", 96),
        ("swin_tiny_patch4_window7_224", 112),
        ("vit_base_patch16_clip_224", 64),
    ],
)
def test_other_sizes_and_channels_are_in_the_call(arch: str, size: int, channels: int) -> None:
    with shapes_only():
        backbone = TimmBackbone(channels, size, arch)
        assert shapes(made(backbone.source())) == shapes(backbone.plain())
