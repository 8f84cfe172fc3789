"""Makes a step once more that was not finite, and names what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslkit.engine.build import Length, build_run
from sslkit.engine.distributed import choose_device
from sslkit.engine.faults import read_snapshot
from sslkit.engine.run import Run
from sslkit.engine.saving import take_up
from sslkit.engine.step import training_step
from sslkit.errors import NotFinite
from sslkit.recipe.model import Recipe


@dataclass(frozen=True)
class Replay:
    """What a step that is made once more shows.

    Attributes:
        step: which.
        fault: what is not finite, as the engine says; None: everything is.
        weights: names of weights and buffers that were not finite before it.
        outputs: modules whose output is not finite, in the order in which they ran.
        gradients: parameters whose gradient is not finite.
    """

    step: int
    fault: str | None
    weights: tuple[str, ...]
    outputs: tuple[str, ...]
    gradients: tuple[str, ...]

    def lines(self) -> list[str]:
        """In sentences."""
        if self.fault is None:
            return [f"step {self.step} is finite here: the fault does not show again"]
        told = [f"step {self.step}: {self.fault}"]
        for what, names in {
            "weights and buffers not finite before the step": self.weights,
            "modules whose output is not finite, the first ones first": self.outputs,
            "gradients not finite": self.gradients,
        }.items():
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            told.append(f"  {what}: {shown or 'none'}")
        return told


def replay_step(recipe: Recipe, folder: Path) -> Replay:
    """Make the step of a snapshot once more, in this process and with the batches of all ranks as one.

    Args:
        recipe: of the run, with whatever is to be tried.
        folder: the snapshot.

    Raises:
        UserError: if it is none, or does not fit the recipe.
    """
    snapshot = read_snapshot(folder)
    at = snapshot.at
    device = choose_device(recipe.train.device)
    run = build_run(recipe, Length(at.steps_per_epoch, at.total), snapshot.classes, device)
    take_up(run, snapshot.checkpoint)
    # the scaler of fp16 would back off, and the fault be no fault
    run.guard.scaled = False
    weights = tuple(name for name, tensor in _state(run) if not _finite(tensor))
    outputs: list[str] = []
    handles = [module.register_forward_hook(_note(name, outputs)) for name, module in _modules(run)]
    try:
        training_step(run, replace(snapshot.batch), at)
        fault = None
    except NotFinite as error:
        fault = str(error).partition(";")[0]
    finally:
        for handle in handles:
            handle.remove()
    gradients = tuple(
        name for name, weight in run.student.named_parameters() if weight.grad is not None and not _finite(weight.grad)
    )
    return Replay(at.step, fault, weights, tuple(dict.fromkeys(outputs)), gradients)


def _modules(run: Run) -> Iterator[tuple[str, nn.Module]]:
    for name, module in run.modules().items():
        for below, part in module.named_modules():
            yield f"{name}.{below}".rstrip("."), part


def _state(run: Run) -> Iterator[tuple[str, Tensor]]:
    for name, module in run.modules().items():
        for key, tensor in module.state_dict().items():
            yield f"{name}.{key}", tensor


def _note(name: str, outputs: list[str]) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not all(map(_finite, _tensors(output))):
            outputs.append(name)

    return hook


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
