"""Any classifier of torchvision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from sslkit.errors import UserError, nearest
from sslkit.parts import Backbone, Tokens
from sslkit_vision.feature_width import feature_width

#: Give several outputs in training, which no self-supervised loss here reads.
_WITH_AUXILIARY_OUTPUTS = {"googlenet", "inception_v3"}


class TorchvisionBackbone(Backbone):
    """A classifier of torchvision by its name, with random weights and without its last linear layer.

    The reference DINO's ResNet-50 is ``arch: resnet50``: parameter names are torchvision's, the ``fc`` is gone.

    Args:
        channels: of the images.
        image_size: side in pixels that the network is tried with.
        arch: torchvision's name, such as ``resnet18`` or ``convnext_tiny``.
    """

    def __init__(self, channels: int, image_size: int, arch: str = "resnet50") -> None:
        super().__init__()
        from torchvision import models  # here: slower to import than torch itself

        known = [name for name in models.list_models(module=models) if name not in _WITH_AUXILIARY_OUTPUTS]
        if arch not in known:
            raise UserError(f"arch is {arch!r}: torchvision has no such classifier; {nearest(arch, known)}")
        self.net = models.get_model(arch, weights=None)
        self._classifier = _remove_classifier(self.net, arch)
        self._source = f"torchvision.models.get_model({arch!r}); net.{_path(self._classifier)} = torch.nn.Identity()"
        if channels != 3:
            name, stem = _take_channels(self.net, channels)
            self._source += f"; net.{_path(name)} = torch.nn.{stem}"
        self.embed_dim = feature_width(self.net, arch, channels, image_size)

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """Pooled features ``[B, D]``."""
        return Tokens(cls=self.net(images))

    def plain(self) -> nn.Module:
        """torchvision's network without its classifier."""
        return self.net

    def classifier(self) -> tuple[str, ...]:
        """The last linear layer."""
        return (self._classifier,)

    def source(self) -> str:
        """torchvision's call for it, and what is replaced afterwards."""
        return self._source

    @classmethod
    def recognised(cls, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """ResNets, ResNeXts and wide ResNets whose weights, but for the last layer, have these names and shapes."""
        if "conv1.weight" not in shapes:
            return None
        from torchvision import models

        given = {key: shape for key, shape in shapes.items() if not key.startswith("fc.")}
        for arch in models.list_models(module=models, include=["resn*", "wide_resnet*"]):
            if _resnet_shapes(arch) == given:
                return f"--backbone torchvision --backbone.arch {arch}"
        return None


@cache
def _resnet_shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ResNet's weights, without its classifier ``fc``; made without memory for them."""
    from torchvision import models

    with torch.device("meta"):
        weights = models.get_model(arch, weights=None).state_dict()
    return {key: tuple(value.shape) for key, value in weights.items() if not key.startswith("fc.")}


def _remove_classifier(net: nn.Module, arch: str) -> str:
    """Replace the last linear layer by nothing; its name."""
    linear = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"arch {arch!r} does not end in a linear layer: choose another, such as resnet50")
    _replace(net, linear[-1], nn.Identity())
    return linear[-1]


def _take_channels(net: nn.Module, channels: int) -> tuple[str, nn.Module]:
    """Replace the first convolution by one of the same shape for images of ``channels``; its name, and the new one."""
    name, first = next((name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    stem = nn.Conv2d(
        channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=first.bias is not None
    )
    _replace(net, name, stem)
    return name, stem


def _path(name: str) -> str:
    """A module's name as Python writes it: ``classifier[6]`` for ``classifier.6``."""
    return re.sub(r"\.(\d+)", r"[\1]", name)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    net.get_submodule(parent).register_module(child, module)
