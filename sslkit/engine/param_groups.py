"""Which parameter moves at which multiple of the rates: data of the recipe, applied in one place."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from sslkit.parts.position import Position
from sslkit.parts.schedule import Schedule
from sslkit.recipe.settings import ParamRule

_REST = ParamRule()


def parameter_groups(net: nn.Module, rules: Mapping[str, ParamRule]) -> list[dict[str, Any]]:
    """Optimizer groups of the trainable parameters.

    A parameter belongs to the first rule that matches it; those that no rule matches keep all rates.
    Frozen parameters are in no group.

    Args:
        net: the student; names are as in ``backbone.*``, ``head.*``, ``predictor.*``.
        rules: the recipe's ``param_groups``, in order.
    """
    members: dict[ParamRule, list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            rule = next((rule for rule in rules.values() if _matches(rule, name, parameter)), _REST)
            members.setdefault(rule, []).append(parameter)
    # plain values and not the rule itself: the groups are in the optimizer's checkpoint
    return [
        {
            "params": params,
            "lr_factor": rule.lr,
            "weight_decay_factor": rule.weight_decay,
            "decay_lr": rule.decay_lr,
            "trust": rule.trust,
        }
        for rule, params in members.items()
    ]


def _matches(rule: ParamRule, name: str, parameter: nn.Parameter) -> bool:
    small = rule.max_ndim is None or parameter.ndim <= rule.max_ndim
    return small and fnmatchcase(name, rule.match)


class Rates:
    """Sets learning rate and weight decay of every group, as a function of the position.

    Args:
        lr: already scaled to the batch.
        weight_decay: as the optimizer part says.
        total: optimizer steps of the run.
        steps_per_epoch: optimizer steps of one epoch.
    """

    def __init__(self, lr: Schedule, weight_decay: Schedule, total: int, steps_per_epoch: int) -> None:
        self.lr, self.weight_decay = lr, weight_decay
        self._clock = (total, steps_per_epoch)
        self._peak: float | None = None

    def apply(self, optimizer: torch.optim.Optimizer, at: Position) -> dict[str, float]:
        """Set the rates of the step ``at``; returns the unmultiplied ones, for the log."""
        lr, weight_decay = self.lr(at), self.weight_decay(at)
        for group in optimizer.param_groups:
            group["lr"] = (lr if group["decay_lr"] else self.peak()) * group["lr_factor"]
            group["weight_decay"] = weight_decay * group["weight_decay_factor"]
        return {"lr": lr, "weight_decay": weight_decay}

    def peak(self) -> float:
        """The highest learning rate of the run: what a group whose rate does not decay keeps."""
        if self._peak is None:
            self._peak = max(self.lr(Position(step, *self._clock)) for step in range(self._clock[0]))
        return self._peak
