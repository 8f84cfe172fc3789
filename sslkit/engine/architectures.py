"""Says which backbone weights would fit, from their names and shapes; what it says was tried."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import cast

import torch

from sslkit.engine.backbones import build_backbone
from sslkit.errors import RunError, UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.preprocess import Preprocess
from sslkit.parts.weights import NetWeights
from sslkit.plugins.registry import Registry
from sslkit.recipe.load import load_judging
from sslkit.recipe.model import Judging
from sslkit.recipe.overrides import Override, overrides_from, split_overrides

_SECTIONS = ("backbone", "preprocess")


def fitting(weights: NetWeights, given: Sequence[Override], registry: Registry, section: str = "backbone") -> str:
    """The end of an error sentence: flags with which the weights load, and the option that resamples; empty if none do.

    Every one is tried first: the backbone is built, without memory for its weights, and compared with the file.

    Args:
        weights: those that did not fit.
        given: what the user said; of the sections ``backbone`` and ``preprocess``.
        registry: the parts there are.
        section: the recipe's section that the flags are for; of another than ``backbone`` the images stay as they are.
    """
    mine = [override for override in given if override.key.split(".")[0] in _SECTIONS]
    images = [override for override in mine if override.key.split(".")[0] == "preprocess"]
    hints = [*_architecture(weights, images, registry, section), *_resampled(weights, mine, registry, section)]
    return "".join(f"; {hint}" for hint in hints)


def _architecture(weights: NetWeights, images: Sequence[Override], registry: Registry, section: str) -> Iterator[str]:
    for words in _recognised(weights, registry):
        flags, _, remark = (part.strip() for part in words.partition(" # "))
        for full in _with_images(flags):
            if section != "backbone" and "--preprocess." in full:
                continue
            if _fits(weights, [*images, *_overrides(full)], registry):
                shown = full.replace("--backbone", f"--{section}")
                yield f"their names and shapes are those of {shown} ({remark})" if remark else f"they would fit {shown}"
                return


def _recognised(weights: NetWeights, registry: Registry) -> Iterator[str]:
    parts = [cast(type[Backbone], registry.find("backbone", name).load()) for name in registry.names("backbone")]
    for shapes in weights.shapes():
        yield from (flags for part in parts if (flags := part.recognised(shapes)) is not None)


def _with_images(flags: str) -> Iterator[str]:
    """The flags alone, and with what the user may have changed of the images set to the usual values."""
    said = {override.key: override.value for override in _overrides(flags)}
    channels = int(said.get("preprocess.channels", 3))
    usual = Preprocess()
    mean, std = (usual.mean, usual.std) if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
    size = [] if "preprocess.size" in said else [f"--preprocess.size {usual.size}"]
    colours = [] if "preprocess.channels" in said else [f"--preprocess.channels {channels}"]
    colours += [f"--preprocess.{key} '{list(values)}'" for key, values in (("mean", mean), ("std", std))]
    for more in ([], size, colours, [*size, *colours]):
        yield " ".join([flags, *more])


def _resampled(weights: NetWeights, given: Sequence[Override], registry: Registry, section: str) -> Iterator[str]:
    if not any(override.key.split(".")[0] == "backbone" for override in given):
        return
    part = cast(type[Backbone], load_judging(given, registry).backbone.target)
    if not part.resample_option:
        return
    key = f"backbone.{part.resample_option}"
    if _fits(weights, [*given, *overrides_from({key: True})], registry):
        flag = f"--{section}.{part.resample_option} true"
        yield f"with {flag} their position embeddings are resampled to this size"


def _overrides(flags: str) -> list[Override]:
    return split_overrides(shlex.split(flags), (), _SECTIONS)[1]


def _fits(weights: NetWeights, overrides: Sequence[Override], registry: Registry) -> bool:
    try:
        return not weights.misfit(_built(load_judging(overrides, registry)))
    except (UserError, RunError):
        return False


def _built(by: Judging) -> Backbone:
    try:
        with torch.device("meta"):
            return build_backbone(by.backbone, by.preprocess, by.seed)
    except (RunError, NotImplementedError, RuntimeError):
        # an architecture that asks its tensors for numbers while it is built
        return build_backbone(by.backbone, by.preprocess, by.seed)
