"""DINO's loss against the reference's numbers and the formula, and the center over steps, micro-batches and ranks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import LossTerms, Outputs, Position, Views, ViewSpec
from sslkit_dino.loss import DINOLoss

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"
Logits = dict[str, Tensor]


def specs(global_crops: int, local_crops: int) -> tuple[ViewSpec, ...]:
    return (
        *(ViewSpec(f"global{i}", 8) for i in range(global_crops)),
        *(ViewSpec(f"local{i}", 4, teacher=False) for i in range(local_crops)),
    )


def apply(loss: DINOLoss, student: Logits, teacher: Logits, at: Position | None = None) -> LossTerms:
    views = Views(specs(1, 0), {}, torch.arange(1), None)  # the loss reads no images
    return loss(
        Outputs({}, projections=student), Outputs({}, projections=teacher), views, at or Position(0, 10, 5)
    )  # fmt: skip


def draw(views: tuple[ViewSpec, ...], batch: int, k: int, seed: int = 0, scale: float = 1.0) -> tuple[Logits, Logits]:
    generator = torch.Generator().manual_seed(seed)
    student = {
        v.id: torch.randn(batch, k, generator=generator, dtype=torch.float64) * scale for v in views if v.student
    }
    teacher = {
        v.id: torch.randn(batch, k, generator=generator, dtype=torch.float64) * scale for v in views if v.teacher
    }
    return student, teacher


def reference(student: Logits, teacher: Logits, center: Tensor, temp: float) -> tuple[Tensor, float, float]:
    """Loss, teacher entropy and KL, pair by pair."""
    losses, kls, entropies = [], [], []
    for i, t in teacher.items():
        q = torch.softmax((t - center) / temp, dim=-1)
        h = -(q * torch.log_softmax((t - center) / temp, dim=-1)).sum(-1).mean()
        entropies.append(h.item())
        for v, s in student.items():
            if v != i:
                losses.append(-(q * torch.log_softmax(s / 0.1, dim=-1)).sum(-1).mean())
                kls.append(losses[-1].item() - h.item())
    return torch.stack(losses).mean(), float(np.mean(entropies)), float(np.mean(kls))


def test_agrees_with_the_references_first_step() -> None:
    with np.load(GOLDEN) as golden:
        ids = [view.id for view in specs(2, int(golden["config/n_local"]))]
        student = dict(zip(ids, torch.from_numpy(golden["student_out0"]).chunk(len(ids)), strict=True))
        teacher = dict(zip(ids, torch.from_numpy(golden["teacher_out0"]).chunk(2), strict=False))
        expected, center = golden["losses"][0], golden["centers"][0]
        temps = golden["teacher_temp"]
        options = {"teacher_temp": float(golden["config/t"]), "warmup_teacher_temp": float(golden["config/t_warm"]),
                   "warmup_teacher_temp_epochs": int(golden["config/t_epochs"])}  # fmt: skip
    loss = DINOLoss(out_dim=64, views=specs(2, len(ids) - 2), **options)
    np.testing.assert_allclose([loss.temperature(epoch) for epoch in range(len(temps))], temps, rtol=1e-12)
    terms = apply(loss, student, teacher)
    assert terms.total.item() == pytest.approx(expected, rel=1e-6)
    loss.commit([terms.update], Position(0, 10, 5))
    np.testing.assert_allclose(loss.center[0], center, rtol=1e-5, atol=1e-5 * np.abs(center).max())


@pytest.mark.parametrize(("batch", "k"), [(1, 1), (1, 7), (5, 2), (3, 64)])
@pytest.mark.parametrize(("global_crops", "local_crops"), [(2, 0), (2, 1), (2, 5), (1, 2), (3, 1)])
def test_value_gradient_and_logs_agree_with_the_formula_over_steps(
    global_crops: int, local_crops: int, batch: int, k: int
) -> None:
    views = specs(global_crops, local_crops)
    loss = DINOLoss(out_dim=k, views=views, teacher_temp=0.07, warmup_teacher_temp=0.04, warmup_teacher_temp_epochs=3)
    loss.double()
    center = torch.zeros(1, k, dtype=torch.float64)
    for step in range(8):
        at = Position(step, 8, 2)
        temp = np.linspace(0.04, 0.07, 3)[step // 2] if step // 2 < 3 else 0.07
        student, teacher = draw(views, batch, k, seed=step)
        ours = {view: s.clone().requires_grad_() for view, s in student.items()}
        theirs = {view: s.clone().requires_grad_() for view, s in student.items()}
        before = loss.center.clone()
        terms = apply(loss, ours, teacher, at)
        assert torch.equal(loss.center, before)  # forward has no side effect
        expected, entropy, kl = reference(theirs, teacher, center, temp)
        assert terms.total.item() == pytest.approx(expected.item(), rel=1e-10, abs=1e-12)
        assert terms.logs["teacher_entropy"].item() == pytest.approx(entropy, rel=1e-9, abs=1e-12)
        assert terms.logs["kl"].item() == pytest.approx(kl, rel=1e-9, abs=1e-11)
        assert terms.logs["teacher_temp"].item() == pytest.approx(temp)
        terms.total.backward()
        expected.backward()
        for view in student:
            zero = torch.zeros_like(student[view])
            found = zero if ours[view].grad is None else ours[view].grad
            wanted = zero if theirs[view].grad is None else theirs[view].grad
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
        loss.commit([terms.update], at)
        center = 0.9 * center + 0.1 * torch.cat(list(teacher.values())).mean(0, keepdim=True)
        torch.testing.assert_close(loss.center, center, rtol=1e-12, atol=1e-12)


def test_the_teacher_gets_no_gradient_and_nothing_logged_holds_the_graph() -> None:
    student, teacher = draw(specs(2, 1), 3, 5)
    for tensor in (*student.values(), *teacher.values()):
        tensor.requires_grad_()
    terms = apply(DINOLoss(out_dim=5, views=specs(2, 1)).double(), student, teacher)
    terms.total.backward()
    assert all(tensor.grad is None for tensor in teacher.values())
    assert not any(tensor.requires_grad for tensor in (*terms.logs.values(), *terms.update.values()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_outputs_are_taken_in_float32(dtype: torch.dtype) -> None:
    views = specs(2, 2)
    student, teacher = (
        {view: tensor.to(dtype) for view, tensor in logits.items()} for logits in draw(views, 4, 3000, scale=0.5)
    )
    terms = apply(DINOLoss(out_dim=3000, views=views), student, teacher)
    exact = reference(
        {view: s.double() for view, s in student.items()}, {view: t.double() for view, t in teacher.items()},
        torch.zeros(1, 3000, dtype=torch.float64), 0.04,
    )  # fmt: skip
    assert terms.total.dtype == torch.float32
    assert terms.total.item() == pytest.approx(exact[0].item(), rel=1e-5)
    assert terms.logs["teacher_entropy"].item() == pytest.approx(exact[1], rel=1e-4)


def test_extreme_logits_stay_finite() -> None:
    views = specs(2, 1)
    student, teacher = draw(views, 4, 50, scale=1e4)
    for logits in (student, teacher):
        logits.update({view: tensor.float() for view, tensor in logits.items()})
    student = {view: tensor.requires_grad_() for view, tensor in student.items()}
    terms = apply(DINOLoss(out_dim=50, views=views), student, teacher)
    terms.total.backward()
    assert terms.total.isfinite()
    assert all(value.isfinite() for value in terms.logs.values())
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in student.values())


def test_collapse_shows_in_the_logs() -> None:
    views, k = specs(2, 1), 32
    loss = DINOLoss(out_dim=k, views=views).double()
    flat = {view: torch.zeros(3, k, dtype=torch.float64) for view in ("global0", "global1", "local0")}
    uniform = apply(loss, flat, {view: flat[view] for view in ("global0", "global1")})
    assert uniform.logs["teacher_entropy"].item() == pytest.approx(math.log(k))
    assert uniform.logs["kl"].item() == pytest.approx(0, abs=1e-12)
    single = {view: torch.nn.functional.one_hot(torch.zeros(3, dtype=torch.int64), k).double() * 9 for view in flat}
    one = apply(loss, single, {view: single[view] for view in ("global0", "global1")})
    assert one.logs["teacher_entropy"].item() == pytest.approx(0, abs=1e-12)
    assert one.logs["kl"].item() == pytest.approx(0, abs=1e-12)


def test_a_temperature_of_zero_takes_the_largest_entry() -> None:
    views = specs(2, 1)
    student, teacher = draw(views, 4, 9)
    found = apply(
        DINOLoss(out_dim=9, views=views, teacher_temp=0.0, warmup_teacher_temp=0.0).double(), student, teacher
    )
    nearly, _, _ = reference(student, teacher, torch.zeros(1, 9, dtype=torch.float64), 1e-6)
    assert found.total.item() == pytest.approx(nearly.item(), rel=1e-9)
    assert found.logs["teacher_entropy"].item() == 0


@pytest.mark.parametrize(("start", "end", "epochs", "expected"), [
    (0.04, 0.07, 0, [0.07, 0.07]), (0.04, 0.07, 1, [0.04, 0.07]), (0.04, 0.07, 4, [0.04, 0.05, 0.06, 0.07, 0.07]),
])  # fmt: skip
def test_the_teachers_temperature_by_epoch(start: float, end: float, epochs: int, expected: list[float]) -> None:
    loss = DINOLoss(
        4, specs(2, 0), teacher_temp=end, warmup_teacher_temp=start, warmup_teacher_temp_epochs=epochs
    )  # fmt: skip
    assert [loss.temperature(epoch) for epoch in range(len(expected))] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.999, 1.0])
def test_the_center_of_micro_batches_is_that_of_the_whole_batch(momentum: float) -> None:
    views = specs(2, 1)
    whole, parts = (DINOLoss(6, views, center_momentum=momentum).double() for _ in range(2))
    expected = torch.zeros(1, 6, dtype=torch.float64)
    for step in range(3):
        student, teacher = draw(views, 8, 6, seed=step)
        updates = [
            apply(parts, {v: s[rows] for v, s in student.items()}, {v: t[rows] for v, t in teacher.items()}).update
            for rows in (slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8))
        ]
        whole.commit([apply(whole, student, teacher).update], Position(step, 10, 5))
        parts.commit(updates, Position(step, 10, 5))
        expected = momentum * expected + (1 - momentum) * torch.cat(list(teacher.values())).mean(0, keepdim=True)
        torch.testing.assert_close(whole.center, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(parts.center, expected, rtol=1e-12, atol=1e-12)


def test_the_center_is_checkpointed() -> None:
    loss = DINOLoss(6, specs(2, 0))
    assert {key: tuple(value.shape) for key, value in loss.state_dict().items()} == {"center": (1, 6)}


def _commit_on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    loss = DINOLoss(6, specs(2, 1)).double()
    for step in range(3):
        student, teacher = draw(specs(2, 1), 8, 6, seed=step)
        rows = slice(4 * rank, 4 * rank + 4)
        terms = apply(loss, {v: s[rows] for v, s in student.items()}, {v: t[rows] for v, t in teacher.items()})
        loss.commit([terms.update], Position(step, 10, 5))
    torch.save(loss.center, f"{folder}/center{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_have_the_center_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    mp.spawn(_commit_on_a_rank, args=(str(tmp_path),), nprocs=2)
    alone = DINOLoss(6, specs(2, 1)).double()
    for step in range(3):
        student, teacher = draw(specs(2, 1), 8, 6, seed=step)
        alone.commit([apply(alone, student, teacher).update], Position(step, 10, 5))
    for rank in range(2):
        center = torch.load(tmp_path / f"center{rank}.pt", weights_only=True)
        torch.testing.assert_close(center, alone.center, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"student_temp": 0.0}, "student_temp is 0.0"),
        ({"student_temp": math.nan}, "student_temp is nan"),
        ({"teacher_temp": -0.1}, "teacher_temp is -0.1"),
        ({"warmup_teacher_temp": math.inf}, "warmup_teacher_temp is inf"),
        ({"warmup_teacher_temp_epochs": -1}, "warmup_teacher_temp_epochs is -1"),
        ({"center_momentum": 1.1}, "center_momentum is 1.1"),
        ({"views": specs(1, 0)}, "two views are the least"),
        ({"views": specs(0, 3)}, "0 for the teacher"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        DINOLoss(**({"out_dim": 4, "views": specs(2, 0)} | options))


def test_without_a_teacher_it_says_so() -> None:
    loss = DINOLoss(4, specs(2, 0))
    with pytest.raises(RunError, match="teacher"):
        loss(Outputs({}), None, Views(specs(2, 0), {}, torch.arange(1), None), Position(0, 1, 1))
