"""Weights of one net from a file: sslkit's own, or published ones in whatever of the known layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.paths import home_path
from sslkit.parts.weight_files import read_weights as read_weights
from sslkit.parts.weight_layouts import Net as Net
from sslkit.parts.weight_layouts import OneNet, is_beside, own_net, single_net
from sslkit.parts.weight_names import placed, prefixes, problems

_NETS: tuple[Net, ...] = ("teacher", "student")


class WeightsMisfit(UserError):
    """Weights that do not fit a backbone or head.

    Attributes:
        shapes: of the file's tensors by published name, from which an architecture may be recognised.
    """

    def __init__(self, message: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(message)
        self.shapes = shapes


@dataclass(frozen=True)
class NetWeights:
    """The weights of one net of a file.

    Attributes:
        file: where they come from.
        net: ``teacher`` or ``student``; empty for a file of a single backbone.
        backbone: by name: that of the backbone part in sslkit's own files, else the published one.
        head: of the projection head; empty if the file has none.
        own: whether sslkit wrote the file.
        beside: names of what the file holds beside both, such as a queue; not read.
    """

    file: Path
    net: str
    backbone: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    own: bool
    beside: tuple[str, ...] = ()

    def into_backbone(self, backbone: Backbone) -> tuple[str, ...]:
        """Load strictly. What a published file has beside the backbone (a classifier, a projection head) is dropped.

        Returns:
            the names that were dropped; the caller reports them.

        Raises:
            WeightsMisfit: naming what is missing, left over or of another shape.
        """
        sentence = self.misfit(backbone)
        if sentence:
            raise WeightsMisfit(sentence, {key: tuple(value.shape) for key, value in self.backbone.items()})
        if self.own:
            _load(backbone, self.backbone)
            return ()
        found = placed(backbone, self.backbone)
        _load(backbone.plain(), found.tensors)
        return (*found.dropped, *self.beside)

    def misfit(self, backbone: Backbone) -> str:
        """Why the weights do not fit, as a sentence; empty if they do. Nothing is loaded: ``meta`` tensors will do."""
        if self.own:
            return _sentence(
                f"{self.file}: the {self.net}'s weights do not fit the backbone",
                problems(backbone, self.backbone, counters=True),
            )
        found = placed(backbone, self.backbone)
        return _sentence(f"{self.file}: the weights do not fit the backbone", found.problems)

    def shapes(self) -> list[Mapping[str, tuple[int, ...]]]:
        """The shapes of the published tensors by name, once for each beginning that their names may have."""
        return [
            {
                key.removeprefix(begin): tuple(value.shape)
                for key, value in self.backbone.items()
                if key.startswith(begin)
            }
            for begin in prefixes(self.backbone)
        ]

    def into_head(self, head: nn.Module) -> None:
        """Load strictly.

        Raises:
            UserError: if the file has no head.
            WeightsMisfit: naming what is missing, left over or of another shape.
        """
        if not self.head:
            raise UserError(
                f"{self.file}: holds a backbone and no projection head; take the full checkpoint of a training "
                "(such as checkpoints/step-N/weights.safetensors of a run)"
            )
        sentence = _sentence(
            f"{self.file}: the weights do not fit the head", problems(head, self.head, counters=self.own)
        )
        if sentence:
            raise WeightsMisfit(sentence, {key: tuple(value.shape) for key, value in self.head.items()})
        _load(head, self.head)


def net_weights(path: str | Path, which: Net | None = None) -> NetWeights:
    """The weights of one net of a file, in whatever of the known layouts.

    Layouts: a checkpoint's ``weights.safetensors`` of sslkit; the reference's training files (``student``, ``teacher``;
    keys ``backbone.*`` and ``head.*``); the two nets of a training under one of the names that published trainings use
    (``encoder_q`` and ``encoder_k``, ``base_encoder`` and ``momentum_encoder``, ``online_*`` and ``target_*``); a plain
    state dict of a backbone. Any of them may lie within ``state_dict``, ``model`` and the like, and have ``module.``,
    ``_orig_mod.`` or the name of an attribute (``model.``, ``backbone.``, ``encoder.``) in front.

    Args:
        path: the file.
        which: the net; None: the teacher, or the student where there is no teacher; of published trainings the net
            that their authors evaluate.

    Raises:
        UserError: if the file cannot be read, has no such net, or holds weights that are not finite.
    """
    file, found = home_path(path), read_weights(path)
    nets: list[Net] = [net for net in _NETS if any(str(key).startswith(f"{net}/") for key in found)]
    if nets:
        return _own(file, found, own_net(file, nets, which))
    return _published(file, single_net(file, found, which))


def dropped_names(file: str | Path, names: Sequence[str]) -> str:
    """The line of the log that names what a file holds beside the backbone and was not loaded."""
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{file}: dropped, not part of the backbone: {shown}"


def _own(file: Path, found: Mapping[str, Any], net: Net) -> NetWeights:
    backbone, head = (_below(found, f"{net}/{part}.") for part in ("backbone", "head"))
    return _finite(NetWeights(file, net, backbone, head, own=True))


def _published(file: Path, found: OneNet) -> NetWeights:
    tensors = found.tensors
    if not any(key.startswith("backbone.") for key in tensors):
        return _finite(NetWeights(file, found.net, tensors, {}, own=False, beside=found.beside))
    beside = [key for key in tensors if not key.startswith(("backbone.", "head."))]
    over = [key for key in beside if not is_beside(key, apart=True)]
    if over:
        raise UserError(f"{file}: beside backbone.* and head.* it holds {', '.join(over[:5])}")
    backbone, head = (_below(tensors, f"{part}.") for part in ("backbone", "head"))
    return _finite(NetWeights(file, found.net, backbone, head, own=False, beside=(*beside, *found.beside)))


def _below(weights: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _finite(weights: NetWeights) -> NetWeights:
    for key, value in [*weights.backbone.items(), *weights.head.items()]:
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(
                f"{weights.file}: {key} holds values that are not finite: the training that wrote it failed"
            )
    return weights


def _load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        module.load_state_dict(dict(weights), strict=True)


def _sentence(start: str, found: Mapping[str, tuple[str, ...]]) -> str:
    listed = [_listed(what, found[what]) for what in found]
    return f"{start}: {'; '.join(listed)}" if listed else ""


def _listed(what: str, names: tuple[str, ...]) -> str:
    return f"{what}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
