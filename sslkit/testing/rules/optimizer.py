"""Rules for optimizers."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from sslkit.parts.optimizer import OptimizerPart
from sslkit.parts.schedule import NamedSchedule, Schedule
from sslkit.testing.case import Case, changed, draw, require, state_of, untouched_generators


def _made(part: OptimizerPart, net: nn.Module, lr: float = 0.1, decay: float = 0.0) -> torch.optim.Optimizer:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim == 1]
    optimizer = part.create([{"params": matrices, "trust": True}, {"params": vectors, "trust": False}])
    for group in optimizer.param_groups:
        group["lr"], group["weight_decay"] = lr, decay
    return optimizer


def _net() -> nn.Linear:
    net = nn.Linear(4, 3)
    with torch.no_grad():
        net.weight.copy_(draw(3, 4))
        net.bias.copy_(draw(3, seed=1))
    return net


def _step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    optimizer.zero_grad(set_to_none=True)
    net(draw(5, 4, seed=seed)).square().sum().backward()
    optimizer.step()


def rates(case: Case) -> None:
    """``lr`` and ``weight_decay`` are schedules."""
    part = case.build()
    for name in ("lr", "weight_decay"):
        value = getattr(part, name, None)
        good = isinstance(value, Schedule) and not isinstance(value, NamedSchedule)
        require(good, f"its {name} is a {type(value).__name__}: annotate the option with Schedule and keep it")


def obeys_the_rates(case: Case) -> None:
    """It moves by the ``lr`` that its groups have at the step: not at all at 0, and all trained parameters above."""
    for lr, moves in ((0.0, False), (0.1, True)):
        net = _net()
        before, optimizer = state_of(net), _made(case.build(), net, lr)
        with untouched_generators():
            _step(net, optimizer, 0)
        moved = changed(before, state_of(net))
        require(bool(moved) == moves, f"at a learning rate of {lr} it moves {', '.join(moved) or 'nothing'}")
        require(not moves or len(moved) == 2, f"it moves {', '.join(moved)} and nothing else: groups are left out")


def decays(case: Case) -> None:
    """The ``weight_decay`` of a group is applied."""
    found = []
    for decay in (0.0, 0.5):
        net = _net()
        _step(net, _made(case.build(), net, decay=decay), 0)
        found.append(net.weight.detach().clone())
    require(not torch.equal(*found), "a group's weight_decay has no effect")


def no_gradient_no_move(case: Case) -> None:
    """A parameter without gradient stays where it is, at whatever weight decay."""
    net = _net()
    optimizer = _made(case.build(), net, decay=0.5)
    net.weight.grad = draw(3, 4, seed=2)
    before = net.bias.detach().clone()
    optimizer.step()
    require(torch.equal(before, net.bias), "it moves a parameter that has no gradient")


def resumes(case: Case) -> None:
    """Saved and loaded in the middle it goes on as if nothing had been."""

    def trained(interrupted: bool) -> dict[str, torch.Tensor]:
        net = _net()
        optimizer = _made(case.build(), net)
        for step in range(4):
            if interrupted and step == 2:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer = _made(case.build(), net)
                optimizer.load_state_dict(saved)
            _step(net, optimizer, step)
        return state_of(net)

    require(not changed(trained(False), trained(True)), "saved and loaded in the middle it moves otherwise")


RULES: tuple[Callable[[Case], None], ...] = (rates, obeys_the_rates, decays, no_gradient_no_move, resumes)
