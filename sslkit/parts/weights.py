"""Weights from files: sslkit's own, those of the official DINO repository, timm's and torchvision's. Nothing is run."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sslkit.errors import UserError, nearest
from sslkit.parts.backbone import Backbone
from sslkit.parts.paths import home_path

Net = Literal["teacher", "student"]

#: What published files wrap a state dict in.
_WRAPPERS = ("state_dict", "model")
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
    """

    file: Path
    net: str
    backbone: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    own: bool

    def into_backbone(self, backbone: Backbone) -> None:
        """Load strictly.

        Raises:
            WeightsMisfit: naming what is missing, left over or of another shape.
        """
        if self.own:
            _fill(backbone, self.backbone, f"{self.file}: the {self.net}'s weights do not fit the backbone")
        else:
            translated = backbone.translated(dict(self.backbone))
            _fill(backbone.plain(), translated, f"{self.file}: the weights do not fit the backbone")

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
        _fill(head, self.head, f"{self.file}: the weights do not fit the head")


def read_weights(path: str | Path) -> Mapping[str, Any]:
    """What a file holds, nested as it was stored: ``.safetensors``, or a file of ``torch.save``.

    Of pickled things only tensors, plain containers and ``argparse.Namespace`` (which the reference's training files
    hold) are read: nothing in the file can run.

    Raises:
        UserError: if there is no such file, it is damaged, or it holds more than that.
    """
    file = home_path(path)
    if not file.is_file():
        raise UserError(f"{file}: there is no such file of weights")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file}: {_unpickling(error)}") from error
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: cannot be read as weights, it is damaged or of another kind: {reason}") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: holds a {type(found).__name__} instead of named weights (a state dict)")
    return found


def _unpickling(error: pickle.UnpicklingError) -> str:
    first = str(error).splitlines()[0] if str(error) else "not readable"
    if "GLOBAL" in str(error):
        name = str(error).split("GLOBAL ")[1].split()[0]
        return f"holds {name}, which could run code: only tensors and plain values are read; save a state dict"
    return f"cannot be read as weights, it is damaged or of another kind: {first[:200]}"


def net_weights(path: str | Path, which: Net | None = None) -> NetWeights:
    """The weights of one net of a file, in whatever of the known layouts.

    Layouts: a checkpoint's ``weights.safetensors`` of sslkit; the reference DINO's training files (``student``,
    ``teacher``; keys ``backbone.*`` and ``head.*`` with or without ``module.``); a plain state dict of a backbone, with
    or without these prefixes, or within ``state_dict`` or ``model``.

    Args:
        path: the file.
        which: the net; None: the teacher, or the student where there is no teacher.

    Raises:
        UserError: if the file cannot be read, has no such net, or holds weights that are not finite.
    """
    file, found = home_path(path), read_weights(path)
    if any(key.startswith(tuple(f"{net}/" for net in _NETS)) for key in found):
        return _own(file, found, which)
    nets = [net for net in _NETS if isinstance(found.get(net), Mapping)]
    if nets:
        net = _chosen(file, nets, which)
        return _published(file, net, found[net])
    if which is not None:
        raise UserError(f"{file}: holds a single backbone, neither teacher nor student: leave --which out")
    for wrapper in _WRAPPERS:
        if isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    return _published(file, "", found)


def _own(file: Path, found: Mapping[str, Any], which: Net | None) -> NetWeights:
    net = _chosen(file, [net for net in _NETS if any(key.startswith(f"{net}/") for key in found)], which)
    backbone, head = (_below(found, f"{net}/{part}.") for part in ("backbone", "head"))
    return _finite(NetWeights(file, net, backbone, head, own=True))


def _published(file: Path, net: str, found: Mapping[str, Any]) -> NetWeights:
    other = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if other or not found:
        held = f"{other[0]!r} is no tensor" if other else "it is empty"
        raise UserError(f"{file}: is no file of weights: {held}; known: a state dict, or one of student and teacher")
    bare = {key.removeprefix("module."): value for key, value in found.items()}
    if any(key.startswith("backbone.") for key in bare):
        over = [key for key in bare if not key.startswith(("backbone.", "head."))]
        if over:
            raise UserError(f"{file}: beside backbone.* and head.* it holds {', '.join(over[:5])}")
        return _finite(NetWeights(file, net, _below(bare, "backbone."), _below(bare, "head."), own=False))
    return _finite(NetWeights(file, net, bare, {}, own=False))


def _chosen(file: Path, nets: list[Net], which: Net | None) -> Net:
    if which is None:
        return nets[0]
    if which not in nets:
        raise UserError(f"{file}: holds no {which}; {nearest(which, nets)}")
    return which


def _below(weights: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _finite(weights: NetWeights) -> NetWeights:
    for key, value in [*weights.backbone.items(), *weights.head.items()]:
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(
                f"{weights.file}: {key} holds values that are not finite: the training that wrote it failed"
            )
    return weights


def _fill(module: nn.Module, weights: Mapping[str, Tensor], sentence: str) -> None:
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in weights.items()}
    problems = [
        _listed("missing", [key for key in wanted if key not in given]),
        _listed("left over", [key for key in given if key not in wanted]),
        _listed(
            "of another shape",
            [f"{key} {given[key]} for {wanted[key]}" for key in wanted if key in given and given[key] != wanted[key]],
        ),
    ]
    if any(problems):
        raise WeightsMisfit(f"{sentence}: {'; '.join(filter(None, problems))}", given)
    with torch.no_grad():
        module.load_state_dict(dict(weights), strict=True)


def _listed(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{what}: {shown}" if names else ""
