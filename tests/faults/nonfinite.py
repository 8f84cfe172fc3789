"""NaN and Inf in losses, gradients and buffer updates: nothing moves."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faults.suite import Suite
from sslkit.data.batch import Batch, Collate
from sslkit.data.loading import AugmentedImages
from sslkit.engine.build import Length, build_run, dataset, training_images
from sslkit.engine.run import Run
from sslkit.engine.step import training_step
from sslkit.errors import NotFinite
from sslkit.parts.loss import LossTerms
from sslkit.parts.position import Position
from sslkit.recipe.load import load_recipe
from tiny_methods import METHODS, tiny_method
from tiny_run import TINY

RECIPES: dict[str, dict[str, Any]] = {"dino": TINY} | {
    name: tiny_method(name, batch_norm=True, batch_size=16) for name in METHODS
}


@cache
def _prepared(name: str) -> tuple[Run, list[Batch]]:
    """A run that has made two steps, and batches for more."""
    recipe = load_recipe(RECIPES[name])
    images = training_images(recipe, dataset(recipe.data))
    classes = len(images.classes) if images.classes is not None else None
    run = build_run(recipe, Length(100, 200), classes, torch.device("cpu"))
    views = AugmentedImages(images, run.augmenter, recipe.preprocess.channels, recipe.seed)
    collate = Collate(run.augmenter.views)
    batches = [collate([views[0, 16 * batch + row] for row in range(16)]) for batch in range(4)]
    for step in range(2):
        training_step(run, batches[step], Position(step, 200, 100))
    return run, batches


def _state(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, module in run.modules().items():
        found |= {f"{name}.{key}": value.clone() for key, value in module.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{k}": v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    return found


def case(number: int, folder: Path) -> None:
    """Break one step, compare everything, and make the step that follows."""
    draw = random.Random(number)
    run, batches = _prepared(list(RECIPES)[number % len(RECIPES)])
    value = draw.choice([float("nan"), float("inf"), -float("inf")])
    where = draw.choice(["loss", "gradient", "update"])
    before, rule = _state(run), repr(run.rule.state_dict()) if run.rule else ""
    undo = _break(run, where, value, draw)
    try:
        training_step(run, batches[2], Position(2, 200, 100))
        raise AssertionError(f"{where}: a step was made")
    except NotFinite:
        pass
    finally:
        undo()
    run.held.take_back()
    after = _state(run)
    for key, wanted in before.items():
        same = torch.equal(after[key], wanted) if isinstance(wanted, Tensor) else after[key] == wanted
        assert same, f"{where}: {key} moved"
    assert rule == (repr(run.rule.state_dict()) if run.rule else "")
    training_step(run, batches[3], Position(3, 200, 100))
    assert all(torch.isfinite(v).all() for v in _state(run).values() if isinstance(v, Tensor) and v.is_floating_point())


def _break(run: Run, where: str, value: float, draw: random.Random) -> Any:
    """Spoil a step; what is returned ends it."""
    loss = draw.choice(list(run.losses.values()))
    if where == "gradient":
        weight = draw.choice([w for w in run.student.parameters() if w.requires_grad])
        return weight.register_hook(lambda gradient: gradient.index_fill(0, torch.tensor([0]), value)).remove

    def spoil(_loss: Any, _inputs: Any, terms: LossTerms) -> LossTerms:
        if where == "update" and terms.update:
            name = next(iter(terms.update))
            spoilt = terms.update[name].clone().float()
            spoilt.view(-1)[0] = value
            return LossTerms(terms.total, terms.logs, {**terms.update, name: spoilt})
        return LossTerms(terms.total * value, terms.logs, terms.update)

    return loss.register_forward_hook(spoil).remove


SUITE = Suite(
    "nonfinite", "NaN and Inf in loss, gradient or buffer update: weights, buffers, optimizer stay", 1000, 40, case
)
