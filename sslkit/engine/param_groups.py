"""Which parameter moves at which multiple of the rates: data of the recipe, applied in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from sslkit.errors import UserError, nearest
from sslkit.parts.position import Position
from sslkit.parts.schedule import Schedule
from sslkit.recipe.settings import DEFAULT_PARAM_GROUPS, ParamRule

_REST = ParamRule()


def parameter_groups(net: nn.Module, rules: Mapping[str, ParamRule]) -> list[dict[str, Any]]:
    """Optimizer groups of the trainable parameters.

    A parameter belongs to the first rule that matches it; those that no rule matches keep all rates.
    Frozen parameters are in no group.

    Args:
        net: the student; names are as in ``backbone.*``, ``head.*``, ``predictor.*``.
        rules: the recipe's ``param_groups``, in order.

    Raises:
        UserError: if a rule gets no parameter, because none matches it or because earlier rules take all that do.
            The default rules may get none: a net without biases is nobody's mistake.
    """
    members: dict[ParamRule, list[nn.Parameter]] = {}
    trainable = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    taken: dict[str, str] = {}
    for name, parameter in trainable.items():
        key = next((key for key, rule in rules.items() if _matches(rule, name, parameter)), None)
        if key is not None:
            taken[name] = key
        members.setdefault(_REST if key is None else rules[key], []).append(parameter)
    for key, rule in rules.items():
        if key not in taken.values() and DEFAULT_PARAM_GROUPS.get(key) != rule:
            raise _useless(key, rule, trainable, taken)
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


def _useless(key: str, rule: ParamRule, trainable: Mapping[str, nn.Parameter], taken: Mapping[str, str]) -> UserError:
    """Why a rule gets no parameter."""
    lost = [name for name, parameter in trainable.items() if _matches(rule, name, parameter)]
    if lost:
        before = ", ".join(repr(other) for other in dict.fromkeys(taken[name] for name in lost))
        return UserError(
            f"param_groups.{key}.match: earlier rules ({before}) take every parameter that matches {rule.match!r}; "
            "the first rule that matches counts: put this one before them, or remove it"
        )
    by_name = [parameter.ndim for name, parameter in trainable.items() if fnmatchcase(name, rule.match)]
    if by_name:
        return UserError(
            f"param_groups.{key}.max_ndim: no trainable parameter that matches {rule.match!r} has {rule.max_ndim} "
            f"dimensions or fewer; they have {min(by_name)} or more"
        )
    patterns = _patterns(trainable)
    return UserError(
        f"param_groups.{key}.match: no trainable parameter matches {rule.match!r}; {nearest(rule.match, patterns)}"
    )


def _patterns(names: Iterable[str]) -> set[str]:
    """What could have been meant: every name, every stem with ``.*``, and ``*.`` with every last word."""
    patterns = set()
    for name in names:
        words = name.split(".")
        patterns |= {name, f"*.{words[-1]}"} | {".".join([*words[:end], "*"]) for end in range(1, len(words))}
    return patterns


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

    def only_rises(self) -> bool:
        """Whether the learning rate is still on its way up when the run ends: a warm-up longer than the run."""
        total = self._clock[0]
        first, middle, last = (self.lr(Position(step, *self._clock)) for step in (0, total // 2, total - 1))
        return first <= middle <= last and (first < last or last == 0)

    def peak(self) -> float:
        """The highest learning rate of the run: what a group whose rate does not decay keeps."""
        if self._peak is None:
            self._peak = max(self.lr(Position(step, *self._clock)) for step in range(self._clock[0]))
        return self._peak
