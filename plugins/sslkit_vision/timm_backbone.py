"""Any architecture of timm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from sslkit.errors import UserError, nearest
from sslkit.parts import Backbone, Tokens
from sslkit_vision.feature_width import feature_width

log = logging.getLogger("sslkit")

#: What timm's filters raise on files that they are not written for.
_TRIPPED = (LookupError, ValueError, TypeError, RuntimeError, AttributeError, AssertionError)

#: Ways to ask for an input size, from the most flexible to none; the first that an architecture knows is taken.
_SIZE_OPTIONS: tuple[tuple[str, ...], ...] = (
    ("img_size", "dynamic_img_size"),
    ("img_size", "strict_img_size"),
    ("img_size",),
    (),
)


class TimmBackbone(Backbone):
    """Any architecture of timm by its name, with random weights and without its classifier.

    Features are what the architecture's classifier would get, pooled as timm pools them.

    Args:
        channels: of the images.
        image_size: side in pixels that position embeddings are made for, where there are any.
        arch: timm's name, such as ``resnet50``, ``convnext_tiny`` or ``vit_small_patch14_dinov2``
            (``timm.list_models()`` has them all).
        drop_path_rate: stochastic depth in training, for the architectures that know it.
        resample_positions: when weights are loaded from a file: let timm resample position embeddings (and what else it
            resamples) to ``image_size``; false: a file for another size is refused.
    """

    resample_option = "resample_positions"

    def __init__(
        self,
        channels: int,
        image_size: int,
        arch: str = "resnet50",
        drop_path_rate: float = 0.0,
        resample_positions: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= drop_path_rate < 1:
            raise UserError(f"drop_path_rate is {drop_path_rate}: it must be at least 0 and below 1")
        import timm  # here: slower to import than torch itself

        if not timm.is_model(arch):
            raise UserError(f"arch is {arch!r}: timm has no such architecture; {nearest(arch, timm.list_models())}")
        self.net, self.stride, sized = _create(arch, channels, image_size, drop_path_rate)
        self.embed_dim = feature_width(self.net, arch, channels, image_size)
        self._resample = resample_positions
        size = f", img_size={image_size}" if sized else ""
        taken = f", in_chans={channels}" if channels != 3 else ""
        self._source = f"timm.create_model({arch!r}, num_classes=0{taken}{size})"

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """Pooled features ``[B, D]``."""
        return Tokens(cls=self.net(images))

    def plain(self) -> nn.Module:
        """timm's network."""
        return self.net

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Official files that call things otherwise than timm, by timm's own filters of each architecture."""
        own = self.net.state_dict()
        if all(key in own and own[key].shape == value.shape for key, value in state.items()):
            return state
        return _filtered(self.net, state, resample=self._resample)

    def classifier(self) -> tuple[str, ...]:
        """What timm says of the architecture, with the norm that a classifier may bring along."""
        named = self.net.pretrained_cfg.get("classifier") or ()
        own = list(self.net.state_dict())
        return tuple(_emptied(name, own) for name in ([named] if isinstance(named, str) else named))

    def source(self) -> str | None:
        """timm's call for it."""
        return self._source

    @classmethod
    def recognised(cls, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """XCiT alone is recognised: by width, depth and the patch of its convolutional stem."""
        return _recognised_xcit(shapes)


def _emptied(name: str, own: list[str]) -> str:
    """The outermost module around ``name`` of which a net with these tensors has none."""
    above = name.rpartition(".")[0]
    if not above or any(key.startswith(f"{above}.") for key in own):
        return name
    return _emptied(above, own)


def _filtered(net: nn.Module, state: dict[str, Tensor], *, resample: bool) -> dict[str, Tensor]:
    """Weights by the filter of the architecture's module, which timm applies to the files that it publishes itself.

    Args:
        net: timm's.
        state: by name.
        resample: whether tensors may come out with another number of values.
    """
    of_module = vars(import_module(type(net).__module__)).get("checkpoint_filter_fn")
    if of_module is None:
        return state
    try:
        found: dict[str, Tensor] = of_module(dict(state), net)
    except _TRIPPED as error:
        # filters are written for particular files and trip over others: the strict comparison says what does not fit
        log.debug("timm's filter for %s: %s", type(net).__name__, error)
        return state
    if resample:
        return found
    return {key: state[key] if key in state and state[key].numel() != v.numel() else v for key, v in found.items()}


def _recognised_xcit(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    if "cls_attn_blocks.0.norm1.weight" not in shapes:
        return None
    import timm

    width = shapes["cls_attn_blocks.0.norm1.weight"][0]
    depth = len({key.split(".")[1] for key in shapes if key.startswith("blocks.")})
    stages = len([key for key in shapes if key.startswith("patch_embed.proj.") and len(shapes[key]) == 4])
    for name, wide in (("nano", 128), ("tiny", 192), ("small", 384), ("medium", 512), ("large", 768)):
        arch = f"xcit_{name}_{depth}_p{2**stages}_224"
        if wide == width and timm.is_model(arch):
            return f"--backbone timm --backbone.arch {arch}"
    return None


def _create(arch: str, channels: int, image_size: int, drop_path_rate: float) -> tuple[nn.Module, int, bool]:
    """The network, what its input sizes must be multiples of, and whether it was made for a size."""
    import timm
    from timm.layers import PatchEmbed

    options: dict[str, Any] = {"in_chans": channels, "num_classes": 0}
    if drop_path_rate:
        options["drop_path_rate"] = drop_path_rate
    values = {"img_size": image_size, "dynamic_img_size": True, "strict_img_size": False}
    for keys in _SIZE_OPTIONS:
        try:
            net = timm.create_model(arch, pretrained=False, **options, **{key: values[key] for key in keys})
            break
        except TypeError as error:  # an argument that this architecture does not know
            refused = error
        except (AssertionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"arch {arch!r} cannot be built for images of {image_size} pixels (preprocess.size): {error}"
            ) from error
    else:
        raise UserError(f"arch {arch!r} cannot be built with {options}: {refused}") from refused
    embeddings = [module for module in net.modules() if isinstance(module, PatchEmbed)]
    return net, embeddings[0].patch_size[0] if embeddings else 1, bool(keys)
