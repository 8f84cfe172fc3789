"""Teacher rules over several epochs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sslkit.errors import UserError
from sslkit.parts import Position, TeacherRule
from sslkit_dino.teachers import EMA, Fixed, FrozenEpoch, Polyak, PreviousStep, StudentCopy
from sslkit_vision.schedules import Constant, Cosine

EPOCHS, STEPS = 5, 3


def net() -> nn.Module:
    """Parameters of several shapes, and buffers that no rule may touch."""
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


def walk(module: nn.Module) -> None:
    """What an optimizer step and a batch do to the student."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.copy_(torch.randn(tensor.shape) * 10)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in module.parameters()])


def trajectory(rule: TeacherRule, resumed: TeacherRule | None = None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Student and teacher before step 0 and after every step; ``resumed`` takes over in the middle, from a file."""
    torch.manual_seed(0)
    student = net()
    teacher = rule.start(student)
    assert teacher is not None
    buffers = [buffer.clone() for buffer in teacher.buffers()]
    students, teachers = [flat(student)], [flat(teacher)]
    for step in range(EPOCHS * STEPS):
        if resumed is not None and step == EPOCHS * STEPS // 2:
            file = io.BytesIO()
            torch.save(rule.state_dict(), file)
            file.seek(0)
            rule = resumed
            rule.load_state_dict(torch.load(file, weights_only=True))
        walk(student)
        rule.update(teacher, student, Position(step, EPOCHS * STEPS, STEPS))
        students.append(flat(student))
        teachers.append(flat(teacher))
    assert all(torch.equal(now, before) for now, before in zip(teacher.buffers(), buffers, strict=True))
    return students, teachers


def test_ema_follows_its_formula_with_the_momentum_of_the_step() -> None:
    schedule = Cosine(0.9, 1.0)
    students, teachers = trajectory(EMA(schedule))
    expected = students[0]
    assert torch.equal(teachers[0], expected)
    for step in range(EPOCHS * STEPS):
        m = schedule(Position(step, EPOCHS * STEPS, STEPS))
        expected = m * expected + (1 - m) * students[step + 1]
        torch.testing.assert_close(teachers[step + 1], expected, rtol=1e-5, atol=1e-5)


def test_ema_rounds_as_the_reference_does() -> None:
    torch.manual_seed(0)
    student = nn.Linear(50, 50)
    teacher, rule, m = nn.Linear(50, 50), EMA(Constant(0.9971)), 0.9971
    for step in range(10):
        expected = teacher.weight.detach().clone().mul_(m).add_((1 - m) * student.weight.detach())
        rule.update(teacher, student, Position(step, 10, 10))
        assert torch.equal(teacher.weight, expected)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 1.0])
def test_ema_with_constant_momentum(momentum: float) -> None:
    students, teachers = trajectory(EMA(Constant(momentum)))
    expected = students[0]
    for student, teacher in zip(students[1:], teachers[1:], strict=True):
        expected = momentum * expected + (1 - momentum) * student
        torch.testing.assert_close(teacher, expected, rtol=1e-5, atol=1e-5)


def test_ema_agrees_with_the_references_momentum() -> None:
    with np.load(Path(__file__).parent / "data" / "dino_a.npz") as golden:
        momentum, iters = golden["momentum"], int(golden["config/iters"])
    rule, student = EMA(Cosine(0.996, 1.0)), nn.Linear(1, 1, bias=False).double()
    teacher = rule.start(student)
    assert teacher is not None
    with torch.no_grad():
        student.weight.fill_(1.0)
        for step, m in enumerate(momentum):
            teacher.weight.zero_()
            rule.update(teacher, student, Position(step, len(momentum), iters))
            assert teacher.weight.item() == pytest.approx(1 - m, abs=1e-12)


@pytest.mark.parametrize("momentum", [1.5, float("nan")])
def test_ema_refuses_a_momentum_out_of_range(momentum: float) -> None:
    class Broken(Constant):
        def __call__(self, at: Position) -> float:
            return momentum

    with pytest.raises(UserError, match="momentum is"):
        EMA(Broken(0.5))


@pytest.mark.parametrize("every", [1, 2, 3])
def test_frozen_epoch_is_the_student_at_the_start_of_the_epoch(every: int) -> None:
    students, teachers = trajectory(FrozenEpoch(every))
    for step in range(EPOCHS * STEPS):
        began = step // (STEPS * every) * STEPS * every
        assert torch.equal(teachers[step], students[began])  # teachers[step] is the one that step sees


def test_polyak_is_the_plain_average_of_all_students() -> None:
    students, teachers = trajectory(Polyak())
    for step, teacher in enumerate(teachers):
        torch.testing.assert_close(teacher, torch.stack(students[: step + 1]).mean(0), rtol=1e-5, atol=1e-5)


def test_previous_step_is_the_student_one_step_before() -> None:
    students, teachers = trajectory(PreviousStep())
    # teachers[step] is the one that step sees, students[step] the student that it begins with
    assert torch.equal(teachers[0], students[0])
    assert all(torch.equal(teachers[step], students[step - 1]) for step in range(1, EPOCHS * STEPS))


def test_fixed_never_moves() -> None:
    _, teachers = trajectory(Fixed("a file"))
    assert all(torch.equal(teacher, teachers[0]) for teacher in teachers)


RULES = {
    "ema": lambda: EMA(Cosine(0.9, 1.0)),
    "constant ema": lambda: EMA(Constant(0.7)),
    "polyak": Polyak,
    "frozen_epoch": FrozenEpoch,
    "frozen_epoch every 2": lambda: FrozenEpoch(2),
    "previous_step": PreviousStep,
    "student_copy": StudentCopy,
    "fixed": lambda: Fixed("a file"),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_that_is_taken_up_in_the_middle_goes_on_bit_for_bit(rule: Callable[[], TeacherRule]) -> None:
    _, whole = trajectory(rule())
    _, resumed = trajectory(rule(), rule())
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_student_copy_is_the_student_itself() -> None:
    students, teachers = trajectory(StudentCopy())
    assert all(torch.equal(teacher, student) for teacher, student in zip(teachers, students, strict=True))


@pytest.mark.parametrize("rule", [EMA(Constant(0.5)), FrozenEpoch(), StudentCopy()])
def test_a_copied_teacher_stays_apart_from_the_student(rule: TeacherRule) -> None:
    student = net()
    teacher = rule.start(student)
    assert teacher is not None
    rule.update(teacher, student, Position(0, 1, 1))
    before = flat(teacher)
    walk(student)
    assert torch.equal(flat(teacher), before)


def test_rules_leave_out_what_the_teacher_has_not() -> None:
    student = nn.ModuleDict({"head": nn.Linear(2, 2), "predictor": nn.Linear(2, 2)})
    teacher = nn.ModuleDict({"head": nn.Linear(2, 2)})
    StudentCopy().update(teacher, student, Position(0, 1, 1))
    assert torch.equal(teacher["head"].weight, student["head"].weight)


def test_frozen_epoch_refuses_no_epochs() -> None:
    with pytest.raises(UserError, match="every is 0"):
        FrozenEpoch(0)


def test_frozen_epoch_catches_up_where_the_last_step_of_an_epoch_was_not_made() -> None:
    student = nn.Linear(2, 2)
    rule = FrozenEpoch()
    teacher = rule.start(student)
    assert teacher is not None
    for step in range(2 * STEPS):
        walk(student)
        if step != STEPS - 1:  # fp16's loss scaling backed off there
            rule.update(teacher, student, Position(step, 2 * STEPS, STEPS))
        if step == STEPS:
            assert torch.equal(flat(teacher), flat(student))
    again = FrozenEpoch()
    again.load_state_dict(rule.state_dict())
    assert again.state_dict() == {"since": 2}
