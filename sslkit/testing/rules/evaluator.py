"""Rules for evaluators."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from sslkit.evaluation.needs import missing
from sslkit.evaluation.runner import EvaluationResult, run_evaluators
from sslkit.parts.backbone import Backbone, Tokens
from sslkit.parts.dataset import Dataset, Images, Split
from sslkit.parts.preprocess import Preprocess
from sslkit.parts.randomness import isolated
from sslkit.testing.case import CLASSES, Case, changed, draw, require, state_of, untouched_generators

_SIDE = 16
_PREPROCESS = Preprocess(size=_SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)


class _Net(Backbone):
    """Patches of 4 pixels, and one block of attention over them: able to do all that evaluators ask for."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"patches", "attention", "intermediate"})
    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.embed_dim = 12
        self.patch = nn.Conv2d(3, 12, 4, stride=4)
        self.norm = nn.BatchNorm1d(12)  # running statistics that must not move

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        tokens = self.patch(images).flatten(2).transpose(1, 2)
        return Tokens(self.norm(tokens.mean(1)), tokens if patches else None)

    def attention(self, images: Tensor) -> Tensor:
        tokens = self.forward(images, patches=True)
        assert tokens.patches is not None
        rows = torch.cat([tokens.cls[:, None], tokens.patches], dim=1)
        return torch.stack([rows @ rows.mT, -rows @ rows.mT], dim=1).softmax(-1)

    def intermediate(self, images: Tensor, n: int) -> list[Tokens]:
        return [self.forward(images, patches=True)] * n


def _net() -> _Net:
    with isolated("conformance", 0):
        return _Net()


class _Images(Images):
    """Stripes whose width tells the class."""

    classes = tuple(f"class {label}" for label in range(CLASSES))

    def __init__(self, salt: int) -> None:
        self.salt = salt

    def __len__(self) -> int:
        return 10 * CLASSES

    def read(self, index: int) -> Tensor:
        stripes = torch.arange(20) // (1 + index % CLASSES) % 2 * 120
        noise = 20 * draw(3, 20, 20, seed=1000 * self.salt + index)
        return (60 + stripes + noise).clamp(0, 255).to(torch.uint8)

    def label(self, index: int) -> int | None:
        return index % CLASSES


class _Data(Dataset):
    def split(self, which: Split) -> Images | None:
        return _Images(which == "test")


def _result(case: Case, net: Backbone, out: Path) -> EvaluationResult:
    evaluator, data = case.build(), _Data()
    reason = missing(evaluator, net, data)
    require(reason is None, f"it needs what nothing can give: {reason}")
    evaluator.check(net, _PREPROCESS, data)
    return run_evaluators(
        {"it": (evaluator, ("student",))},
        {"student": net},
        data,
        preprocess=_PREPROCESS,
        device=torch.device("cpu"),
        seed=0,
        batch_size=8,
        workers=0,
        precision=None,
        out_dir=out,
    )


def finds_numbers(case: Case) -> None:
    """Finite numbers under fit names, or artifacts below its folder; answers give the shares that they are named after;
    no random generator is moved outside."""
    net = _net()
    with tempfile.TemporaryDirectory() as folder, untouched_generators():
        result = _result(case, net, Path(folder))
    reasons = "; ".join(result.skipped.values())
    require(not result.skipped, f"numbers are missing: {reasons}")
    require(bool(result.values or result.artifacts), "it finds neither numbers nor artifacts")
    for name, tally in result.tallies.items():
        metric, value = name.rpartition("/")[2], result.values[name]
        require(
            abs(tally.percent - value) < 1e-3,
            f"its answers of {metric} are right in {tally.percent:.2f}%, and the metric is {value:.2f}",
        )


def same_again(case: Case) -> None:
    """Under one seed it finds the same again."""
    with tempfile.TemporaryDirectory() as folder:
        one, again = (_result(case, _net(), Path(folder) / name).values for name in ("one", "again"))
    different = sorted(name for name in one if one[name] != again.get(name))
    require(not different, f"under one seed {', '.join(different[:3])} is another the second time")


def leaves_the_net(case: Case) -> None:
    """The backbone's weights, statistics, mode and gradients are as they were."""
    net = _net().train()
    before = state_of(net)
    with tempfile.TemporaryDirectory() as folder:
        _result(case, net, Path(folder))
    moved = changed(before, state_of(net))
    require(not moved, f"it moves the backbone's {', '.join(moved)}: train a copy")
    require(all(p.grad is None for p in net.parameters()), "it leaves gradients in the backbone")


RULES = (finds_numbers, same_again, leaves_the_net)
