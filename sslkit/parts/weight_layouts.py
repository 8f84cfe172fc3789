"""The layouts of published files of weights: what state dicts are wrapped in, and which net of a training is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sslkit.errors import UserError, nearest

Net = Literal["teacher", "student"]

#: What state dicts are stored in, the averaged weights first, as timm prefers them.
_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "net", "network", "weights")


@dataclass(frozen=True)
class _Pair:
    """What a training calls its two nets, as a key of a container or as the start of its tensors' names.

    Attributes:
        student: the net that is trained.
        teacher: the one that follows it.
        published: the one that its authors evaluate.
        alone: whether ``student`` names one of two nets even where there is no ``teacher``.
    """

    student: str
    teacher: str
    published: Net = "student"
    alone: bool = True


@dataclass(frozen=True)
class OneNet:
    """One net of a file.

    Attributes:
        net: ``teacher`` or ``student``; empty for a file of a single one.
        tensors: by name.
        beside: names of what belongs to neither net, such as a queue.
    """

    net: Net | Literal[""]
    tensors: dict[str, Tensor]
    beside: tuple[str, ...] = ()


_PAIRS = (
    _Pair("student", "teacher", "teacher"),
    _Pair("encoder_q", "encoder_k"),
    _Pair("base_encoder", "momentum_encoder"),
    _Pair("online_network", "target_network"),
    _Pair("online_network_state_dict", "target_network_state_dict"),
    _Pair("online_encoder", "target_encoder"),
    _Pair("online_backbone", "target_backbone"),
    _Pair("query_encoder", "key_encoder"),
    _Pair("backbone", "momentum_backbone", alone=False),
    _Pair("backbone", "backbone_momentum", alone=False),
    _Pair("encoder", "momentum_encoder", alone=False),
    _Pair("encoder", "encoder_momentum", alone=False),
    _Pair("encoder", "target_encoder", "teacher", alone=False),
)

#: What trainings have beside a backbone, under any of these names; none of it is part of what the backbone computes.
_TRAINING_PARTS = frozenset({
    "projector", "projection", "projection_head", "projection_mlp", "proj_head", "projetion", "predictor",
    "prediction_head", "prediction_mlp", "online_predictor", "prototypes", "queue", "queue_ptr", "queue2", "idxs",
    "classifier_online", "online_classifier", "linear_classifier", "criterion", "loss", "loss_fn",
    "momentum_projector", "momentum_classifier", "projection_head_momentum", "online_projector", "target_projector",
})  # fmt: skip
#: The same where a name in front sets the backbone apart: there these are no part of it either.
_HEADS = frozenset({"head", "heads", "fc", "classifier", "bn", "decoder", "linear", "mlp", "center"})


def is_beside(key: str, *, apart: bool) -> bool:
    """Whether a tensor belongs to a part that trainings have beside the backbone, such as a projection head.

    Args:
        key: its name.
        apart: whether the backbone lies under a name of its own, and this tensor does not.
    """
    tops = key.split(".")[:2]
    return tops[0] in _TRAINING_PARTS or (apart and (tops[0] in _HEADS or tops[-1] in _TRAINING_PARTS | _HEADS))


def own_net(file: Path, nets: Iterable[Net], which: Net | None) -> Net:
    """The net that is asked for, else the first.

    Raises:
        UserError: if the file does not have it.
    """
    there = list(nets)
    if which is not None and which not in there:
        raise UserError(f"{file}: holds no {which}; {nearest(which, there)}")
    return which or there[0]


def single_net(file: Path, found: Mapping[str, Any], which: Net | None) -> OneNet:
    """The tensors of one net of a published file, without the names that DDP and ``torch.compile`` put in front.

    Args:
        file: for messages.
        found: what it holds.
        which: the net; None: the one that the authors of such files evaluate.

    Raises:
        UserError: if there is no such net, or the file holds other things than weights.
    """
    while True:
        inner = {key: value for key, value in found.items() if isinstance(value, Mapping)}
        pair = _pair(inner)
        if pair is not None:
            net = _chosen(file, pair, set(inner), which)
            name = pair.teacher if net == "teacher" else pair.student
            return OneNet(net, _tensors(file, _unwrapped(inner[name])))
        container = next((name for name in _CONTAINERS if name in inner), None)
        if container is None:
            break
        found = inner[container]
    return _by_prefix(file, _tensors(file, found), which)


def _by_prefix(file: Path, tensors: dict[str, Tensor], which: Net | None) -> OneNet:
    for depth in (0, 1):
        names = {key.split(".")[depth] for key in tensors if key.count(".") > depth}
        pair = _pair(names)
        if pair is None:
            continue
        net = _chosen(file, pair, names, which)
        by_name: dict[str, dict[str, Tensor]] = {pair.student: {}, pair.teacher: {}}
        over: list[str] = []
        beside: list[str] = []
        for key, value in tensors.items():
            parts = key.split(".")
            if len(parts) > depth + 1 and parts[depth] in by_name:
                by_name[parts[depth]][".".join(parts[depth + 1 :])] = value
            else:
                (beside if is_beside(key, apart=True) else over).append(key)
        if over:
            raise UserError(f"{file}: beside {' and '.join(sorted(names & by_name.keys()))} it holds {_few(over)}")
        tensors = _without_wrappers(by_name[pair.teacher if net == "teacher" else pair.student])
        return OneNet(net, tensors, tuple(beside))
    if which is not None:
        raise UserError(f"{file}: holds a single backbone, neither teacher nor student: leave --which out")
    return OneNet("", tensors)


def _pair(names: Iterable[str]) -> _Pair | None:
    there = set(names)
    both = [pair for pair in _PAIRS if {pair.student, pair.teacher} <= there]
    one = [pair for pair in _PAIRS if pair.teacher in there or (pair.alone and pair.student in there)]
    return next(iter([*both, *one]), None)


def _chosen(file: Path, pair: _Pair, names: set[str], which: Net | None) -> Net:
    nets: dict[Net, str] = {"teacher": pair.teacher, "student": pair.student}
    there: list[Net] = [net for net, name in nets.items() if name in names]
    if which is None and pair.published in there:
        return pair.published
    return own_net(file, there, which)


def _unwrapped(found: Mapping[str, Any]) -> Mapping[str, Any]:
    container = next((name for name in _CONTAINERS if isinstance(found.get(name), Mapping)), None)
    return found if container is None else _unwrapped(found[container])


def _tensors(file: Path, found: Mapping[str, Any]) -> dict[str, Tensor]:
    other = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if other or not found:
        held = f"{other[0]!r} is no tensor" if other else "it is empty"
        raise UserError(f"{file}: is no file of weights: {held}; known: a state dict, or one of student and teacher")
    return _without_wrappers(found)


def _without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_bare(str(key)): value for key, value in tensors.items()}


def _bare(key: str) -> str:
    """A name without ``module.`` (DDP) in front and without ``_orig_mod.`` (``torch.compile``) anywhere."""
    bare = ".".join(part for part in key.split(".") if part != "_orig_mod")
    while bare.startswith("module."):
        bare = bare.removeprefix("module.")
    return bare


def _few(names: list[str]) -> str:
    return ", ".join(names[:5])
