"""What a rule of the conformance kit is checked on, and what it says when it is broken."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslkit.engine.construct import construct
from sslkit.parts.kinds import KINDS
from sslkit.parts.randomness import isolated
from sslkit.parts.views import ViewSpec
from sslkit.recipe.model import PartSpec

#: The views of the kit's losses: two for both nets, one for the student alone.
VIEWS = (ViewSpec("global0", 32), ViewSpec("global1", 32), ViewSpec("local0", 16, teacher=False))
#: Widths of the kit's features and projections, and how many classes its labels have.
FEATURES, WIDTH, CLASSES = 8, 6, 3
_CONTEXT: dict[str, Any] = {
    "channels": 3, "image_size": 32, "in_dim": FEATURES, "classes": CLASSES,
    "out_dim": WIDTH, "teacher_out_dim": WIDTH, "views": VIEWS,
}  # fmt: skip


class BrokenRule(Exception):
    """A part does not do what its contract says; one sentence."""


def require(holds: bool, sentence: str) -> None:
    """Break the rule with this sentence unless it holds."""
    if not holds:
        raise BrokenRule(sentence)


def predict(projections: Tensor) -> Tensor:
    """The predictor of the kit's student, for losses that ask for one."""
    return projections.flip(-1)


@dataclass(frozen=True)
class Case:
    """A part with its options.

    Attributes:
        spec: the part as a recipe would name it.
    """

    spec: PartSpec

    @property
    def kind(self) -> str:
        """The part's kind."""
        return self.spec.kind

    def build(self, seed: int = 0, **context: Any) -> Any:
        """The part, built as the engine builds it, with the kit's context."""
        required = _required(self.spec.target)
        whole = {**_CONTEXT, **{key: value for key, value in _PREDICTOR.items() if key in required}, **context}
        given = {key: value for key, value in whole.items() if key in KINDS[self.kind].context}
        with isolated("conformance", seed):
            return construct(self.spec, given)


_PREDICTOR: dict[str, Any] = {"prediction_dim": WIDTH, "predict": predict}


def _required(target: type) -> set[str]:
    """The names of the parameters that have no default."""
    parameters = inspect.signature(target).parameters.values()
    return {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}


@contextmanager
def untouched_generators() -> Iterator[None]:
    """Break the rule if the block draws from a global random generator of Python, numpy or torch."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    require(random.getstate() == python, "it draws from Python's global random generator")
    same = all(np.array_equal(one, other) for one, other in zip(numpy, np.random.get_state(), strict=True))
    require(same, "it draws from numpy's global random generator")
    require(torch.equal(pytorch, torch.get_rng_state()), "it draws from torch's global random generator")


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Normal float32 numbers that are the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those that hold a number that is not finite."""
    return [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors that are not bit for bit the same; NaN is the same as NaN."""
    names = [name for name in before if name not in after or before[name].shape != after[name].shape]
    for name in before:
        if name not in names and not torch.allclose(before[name], after[name], rtol=0, atol=0, equal_nan=True):
            names.append(name)
    return names + [name for name in after if name not in before]
