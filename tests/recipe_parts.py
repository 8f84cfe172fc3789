"""Small parts of every kind for the tests of recipes: they are named and typed, never built."""

from __future__ import annotations

from typing import Any, Literal

from sslkit.parts import Schedule, named
from sslkit.parts.augmenter import Augmenter
from sslkit.parts.backbone import Backbone
from sslkit.parts.clip import Clip
from sslkit.parts.dataset import Dataset
from sslkit.parts.evaluator import Evaluator
from sslkit.parts.head import Head
from sslkit.parts.loss import Loss
from sslkit.parts.optimizer import OptimizerPart
from sslkit.parts.position import Position
from sslkit.parts.teacher import TeacherRule
from sslkit.parts.watcher import Watcher
from sslkit.plugins.registry import Registrar, Registry

Built: list[type] = []


class Folder(Dataset):
    """Images of a folder."""

    def __init__(self, root: str, limit: int | None = None, extensions: tuple[str, ...] = ("png", "jpg")) -> None:
        Built.append(type(self))

    def split(self, which: Any) -> None: ...


class Toy(Folder):
    """Generated images."""

    def __init__(self, classes: int = 10, weights: dict[str, float] = {}) -> None:  # noqa: B006
        Built.append(type(self))


class Crops(Augmenter):
    """Crops."""

    def __init__(
        self,
        channels: int,
        local_crops: int = 8,
        scale: tuple[float, float] = (0.25, 1.0),
        sizes: list[int] = [96],  # noqa: B006
    ) -> None:
        Built.append(type(self))

    def draw(self, view: Any, width: int, height: int, generator: Any) -> Any: ...

    def render(self, image: Any, view: Any, draws: Any) -> Any: ...


class Net(Backbone):
    """A net."""

    def __init__(
        self,
        channels: int,
        image_size: int,
        depth: int = 12,
        rate: float = 0.1,
        arch: Literal["small", "base"] = "small",
    ) -> None:
        Built.append(type(self))

    def forward(self, images: Any, patches: bool = False) -> Any: ...


class BigHead(Head):
    """A head."""

    def __init__(self, in_dim: int, out_dim: int = 65536, use_bn: bool = False, title: str | None = None) -> None:
        Built.append(type(self))

    def forward(self, features: Any) -> Any: ...


class PlainHead(Head):
    """A head without options."""

    def forward(self, features: Any) -> Any: ...


class Ema(TeacherRule):
    """Moving average."""

    def __init__(self, momentum: Schedule = named("cosine", 0.996, 1.0), every: int = 1) -> None:
        Built.append(type(self))

    def update(self, teacher: Any, student: Any, at: Position) -> None: ...


class FrozenEpoch(TeacherRule):
    """The student of the last epoch."""

    def update(self, teacher: Any, student: Any, at: Position) -> None: ...


class CrossEntropy(Loss):
    """A loss."""

    def __init__(self, out_dim: int, temp: float = 0.1, warmup: Schedule | None = None) -> None:
        Built.append(type(self))

    def forward(self, student: Any, teacher: Any, views: Any, at: Any) -> Any: ...


class Spread(CrossEntropy):
    """Another loss."""

    def __init__(self, eps: float = 1e-8) -> None:
        Built.append(type(self))


class Adam(OptimizerPart):
    """An optimizer."""

    def __init__(
        self,
        lr: Schedule = named("cosine", 5e-4, 1e-6, warmup_epochs=10.0),
        weight_decay: Schedule = named("constant", 0.04),
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        Built.append(type(self))

    def create(self, groups: Any) -> Any: ...


class ByNorm(Clip):
    """Clips."""

    def __init__(self, max_norm: float = 3.0) -> None:
        Built.append(type(self))

    def __call__(self, gradients: Any) -> Any: ...


class Neighbours(Evaluator):
    """k-NN."""

    def __init__(self, k: tuple[int, ...] = (10, 20), temperature: float = 0.07) -> None:
        Built.append(type(self))

    def evaluate(self, frozen: Any, data: Any, out_dir: Any) -> Any: ...


class Display(Watcher):
    """A watcher."""

    def __init__(self, every: int = 1, mode: Literal["auto", "plain"] = "auto") -> None:
        Built.append(type(self))


class Constant(Schedule):
    """One number."""

    def __init__(self, value: float) -> None:
        Built.append(type(self))

    def __call__(self, at: Position) -> float: ...

    def scaled(self, factor: float) -> Schedule: ...


class Cosine(Constant):
    """Half a cosine."""

    def __init__(self, start: float, end: float, warmup_epochs: float = 0.0) -> None:
        Built.append(type(self))


class Linear(Constant):
    """A line."""

    def __init__(self, start: float, end: float) -> None:
        Built.append(type(self))


PARTS: dict[str, dict[str, type]] = {
    "dataset": {"folder": Folder, "toy": Toy},
    "augmenter": {"crops": Crops},
    "backbone": {"net": Net},
    "head": {"big": BigHead, "plain": PlainHead},
    "teacher": {"ema": Ema, "frozen_epoch": FrozenEpoch},
    "loss": {"ce": CrossEntropy, "spread": Spread},
    "optimizer": {"adam": Adam},
    "clip": {"by_norm": ByNorm},
    "evaluator": {"knn": Neighbours},
    "watcher": {"progress": Display, "csv": Display, "tensorboard": Display, "collapse": Display},
    "schedule": {"constant": Constant, "cosine": Cosine, "linear": Linear},
}


def registry() -> Registry:
    """A registry of these parts."""
    made = Registry()
    registrar = Registrar(made, plugin="fakes", distribution="fakes 1.0")
    for kind, parts in PARTS.items():
        for name, target in parts.items():
            registrar.add(kind, name, target)
    return made


RECIPE = """\
seed: 3
data: {name: folder, root: images}
augment: {name: crops, local_crops: 6}
backbone:
  name: net
  depth: 6
head: {name: big, out_dim: 512}
teacher: {name: ema, momentum: {cosine: [0.99, 1.0]}}
loss: {name: ce, temp: 0.2}
optimizer:
  name: adam
  lr: {cosine: {start: 1e-3, end: 1e-6, warmup_epochs: 2}}
train: {epochs: 5, batch_size: 64}
evaluate:
  knn: {every: 2, k: [5]}
  knn20: {name: knn, k: [20], which: [teacher, student]}
"""
