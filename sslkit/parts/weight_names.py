"""Finds a backbone's tensors in a file, wherever its names begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from sslkit.parts.backbone import Backbone
from sslkit.parts.weight_layouts import is_beside

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Placed:
    """Tensors under a backbone's own names.

    Attributes:
        tensors: of the backbone, as far as they are known by name.
        dropped: names in the file of what is no part of it: a classifier, a projection head.
        problems: what is missing, left over or of another shape, one entry a tensor; nothing if all fits.
    """

    tensors: Mapping[str, Tensor]
    dropped: tuple[str, ...]
    problems: Mapping[str, tuple[str, ...]]

    @property
    def count(self) -> int:
        """How many tensors do not fit."""
        return sum(map(len, self.problems.values()))


def placed(backbone: Backbone, tensors: Mapping[str, Tensor]) -> Placed:
    """The tensors of a published file under the names of ``backbone.plain()``: the best of all places to begin.

    Args:
        backbone: says how its names are translated, and what its classifier is called.
        tensors: of the file, by name.
    """
    plain = backbone.plain()
    tries = [_place(backbone, plain, tensors, prefix) for prefix in prefixes(tensors, plain)]
    return min(tries, key=lambda found: found.count)


def prefixes(tensors: Mapping[str, object], plain: nn.Module | None = None) -> list[str]:
    """Beginnings of names, such as ``model.encoder.``, behind which a backbone may lie; first of all none.

    Args:
        tensors: by name.
        plain: the module that is looked for; without one, wherever most of the tensors are.
    """
    counts = dict.fromkeys([""], len(tensors))
    for key in tensors:
        parts = key.split(".")
        for depth in (1, 2):
            if len(parts) > depth:
                begin = ".".join(parts[:depth]) + "."
                counts[begin] = counts.get(begin, 0) + 1
    likely = [begin for begin, count in counts.items() if 2 * count >= len(tensors)]
    if plain is not None:
        wanted = [name for name in plain.state_dict() if not _counter(name)]
        begins = {key.removesuffix(wanted[0]) for key in tensors if f".{key}".endswith(f".{wanted[0]}")}
        likely += sorted(begin for begin in begins if all(f"{begin}{name}" in tensors for name in wanted))
    return list(dict.fromkeys(likely))


def problems(module: nn.Module, tensors: Mapping[str, Tensor], *, counters: bool) -> dict[str, tuple[str, ...]]:
    """What keeps tensors from being loaded: names that are missing or left over, and other shapes.

    Args:
        module: is not changed.
        tensors: by name.
        counters: whether BatchNorm's ``num_batches_tracked`` must be there: older files go without, as in torch.
    """
    wanted: Shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    given: Shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    found = {
        "missing": [key for key in wanted if key not in given and (counters or not _counter(key))],
        "left over": [key for key in given if key not in wanted],
        "of another shape": [
            f"{key} {given[key]} for {wanted[key]}" for key in wanted if key in given and given[key] != wanted[key]
        ],
    }
    return {what: tuple(names) for what, names in found.items() if names}


def _place(backbone: Backbone, plain: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> Placed:
    below = {key.removeprefix(prefix): key for key in tensors if key.startswith(prefix)}
    beside = [key for key in tensors if not key.startswith(prefix)]
    over = {name: () for name in beside if not is_beside(name, apart=True)}
    tries = [
        _fit(backbone, plain, {name: tensors[key] for name, key in named.items()}) for named in _named(below, plain)
    ]
    best = min(tries, key=lambda found: found.count)
    dropped = (*(name for name in beside if name not in over), *(f"{prefix}{name}" for name in best.dropped))
    if not over:
        return Placed(best.tensors, dropped, best.problems)
    left = {**best.problems, "left over": (*best.problems.get("left over", ()), *over)}
    return Placed(best.tensors, dropped, left)


def _fit(backbone: Backbone, plain: nn.Module, tensors: Mapping[str, Tensor]) -> Placed:
    kept, dropped = _without_classifier(backbone, plain, tensors)
    kept, more = _without_classifier(backbone, plain, backbone.translated(kept))
    return Placed(kept, (*dropped, *more), problems(plain, kept, counters=False))


def _without_classifier(
    backbone: Backbone, plain: nn.Module, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    wanted, classifiers = set(plain.state_dict()), backbone.classifier()
    dropped = [
        name
        for name in tensors
        if name not in wanted
        and (is_beside(name, apart=False) or any(f"{name}.".startswith(f"{top}.") for top in classifiers))
    ]
    return {name: value for name, value in tensors.items() if name not in dropped}, dropped


def _named(below: dict[str, str], plain: nn.Module) -> Iterator[dict[str, str]]:
    """The names as they are; and where they are those of ``nn.Sequential(*net.children())``, as ``net`` has them."""
    yield below
    children = [name for name, _ in plain.named_children()]
    numbers = {name.partition(".")[0] for name in below}
    if all(number.isdigit() and int(number) < len(children) for number in numbers):
        yield {f"{children[int(name.partition('.')[0])]}.{name.partition('.')[2]}": key for name, key in below.items()}


def _counter(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"
