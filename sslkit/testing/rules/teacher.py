"""Rules for teacher rules."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sslkit.parts.position import Position
from sslkit.testing.case import Case, changed, draw, require, state_of, untouched_generators

_TOTAL, _PER_EPOCH = 12, 4


def _student() -> nn.Sequential:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=number))
    return net


def _move(student: nn.Module, step: int) -> None:
    with torch.no_grad():
        for number, parameter in enumerate(student.parameters()):
            parameter.add_(draw(*parameter.shape, seed=100 * step + number))


def _teacher(rule: object, student: nn.Module) -> nn.Module | None:
    teacher: nn.Module | None = rule.start(student)  # type: ignore[attr-defined]
    return teacher.requires_grad_(False) if teacher is not None else None


def starts_as_a_copy(case: Case) -> None:
    """The teacher at the start is another module of the student's architecture, or there is none."""
    student = _student()
    before = state_of(student)
    teacher = _teacher(case.build(), student)
    require(not changed(before, state_of(student)), "start() moves the student")
    if teacher is not None:
        require(all(p.requires_grad for p in student.parameters()), "the teacher shares parameters with the student")
        shared = {p.data_ptr() for p in student.parameters()} & {p.data_ptr() for p in teacher.parameters()}
        require(not shared, "the teacher shares memory with the student")
        missing = dict(teacher.named_parameters()).keys() - dict(student.named_parameters()).keys()
        require(not missing, f"the teacher has {', '.join(sorted(missing))}, which the student has not")


def moves_the_teacher_alone(case: Case) -> None:
    """``update`` moves the teacher's parameters in place; neither the student, nor buffers, nor random generators."""
    rule, student = case.build(), _student()
    teacher = _teacher(rule, student)
    if teacher is None:
        return
    places = [parameter.data_ptr() for parameter in teacher.parameters()]
    buffers = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    for step in range(_TOTAL):
        _move(student, step)
        before = state_of(student)
        with untouched_generators():
            rule.update(teacher, student, Position(step, _TOTAL, _PER_EPOCH))
        moved = changed(before, state_of(student))
        require(not moved, f"update moves the student's {', '.join(moved[:2])}")
    require(places == [p.data_ptr() for p in teacher.parameters()], "update replaces parameters: move them in place")
    require(not any(p.requires_grad for p in teacher.parameters()), "update switches the teacher's gradients on")
    moved = changed(buffers, dict(teacher.named_buffers()))
    require(not moved, f"update moves the teacher's buffers {', '.join(moved[:2])}: rules move parameters alone")


def resumes(case: Case) -> None:
    """Saved and loaded in the middle of an epoch it goes on as if nothing had been."""

    def ended(interrupted: int | None) -> dict[str, Tensor]:
        rule, student = case.build(), _student()
        teacher = _teacher(rule, student)
        for step in range(_TOTAL):
            if step == interrupted:
                saved = copy.deepcopy(rule.state_dict())
                rule = case.build()
                rule.load_state_dict(saved)
            _move(student, step)
            if teacher is not None:
                rule.update(teacher, student, Position(step, _TOTAL, _PER_EPOCH))
        return {} if teacher is None else state_of(teacher)

    wanted = ended(None)
    for step in (1, 6, 8):
        different = changed(wanted, ended(step))
        require(
            not different,
            f"saved and loaded before step {step} the teacher ends otherwise: keep in state_dict what moves",
        )


def plain_state(case: Case) -> None:
    """``state_dict`` holds tensors and plain numbers, by text: what a checkpoint can hold without pickling."""

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or isinstance(value, Tensor | int | float | str | bool)

    rule, student = case.build(), _student()
    teacher = _teacher(rule, student)
    if teacher is not None:
        rule.update(teacher, student, Position(0, _TOTAL, _PER_EPOCH))
    odd = [key for key, value in rule.state_dict().items() if not plain(value)]
    require(not odd, f"its state_dict holds {', '.join(odd)}, which is neither tensor nor plain")


RULES = (starts_as_a_copy, moves_the_teacher_alone, resumes, plain_state)
