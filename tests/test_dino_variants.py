"""What else DINO's loss can be: Sinkhorn or no centering, squared distance, a predictor; each against float64 numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import LossTerms, Outputs, Position, Views, ViewSpec
from sslkit_dino.loss import DINOLoss
from sslkit_dino.targets import balanced

VIEWS = (ViewSpec("global0", 8), ViewSpec("global1", 8), ViewSpec("local0", 4, teacher=False))
K, B, T = 7, 6, 0.05


def logits(seed: int, views: tuple[ViewSpec, ...] = VIEWS) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {view.id: torch.randn(B, K, generator=draw, dtype=torch.float64) * 0.3 for view in views}


def apply(loss: DINOLoss, student: Outputs, teacher: dict[str, Tensor]) -> LossTerms:
    return loss(student, Outputs({}, teacher), Views(VIEWS, {}, torch.arange(B), None), Position(0, 10, 5))


def softmax(x: np.ndarray, temperature: float) -> np.ndarray:
    exp = np.exp(x / temperature)
    return exp / exp.sum(1, keepdims=True)


def sinkhorn(x: np.ndarray, temperature: float, iterations: int) -> np.ndarray:
    """SwAV's algorithm as its appendix writes it, with its constants. ``x`` is [samples, prototypes]."""
    q = np.exp(x / temperature).T
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(1, keepdims=True) * q.shape[0]
        q /= q.sum(0, keepdims=True) * q.shape[1]
    return (q * q.shape[1]).T


def pairwise(student: dict[str, Tensor], targets: dict[str, np.ndarray], squared: bool) -> float:
    costs = []
    for i, q in targets.items():
        for v, s in student.items():
            p = softmax(s.numpy(), 0.1)
            if v != i:
                costs.append((((q - p) ** 2).sum(1) if squared else -(q * np.log(p)).sum(1)).mean())
    return float(np.mean(costs))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("centering", ["mean", "sinkhorn", "none"])
def test_every_centering_and_distance_agrees_with_its_formula_over_steps(centering: str, squared: bool) -> None:
    loss = DINOLoss(
        K,
        VIEWS,
        teacher_temp=T,
        warmup_teacher_temp=T,
        centering=centering,
        distance="mse" if squared else "cross_entropy",
    ).double()  # type: ignore[arg-type]
    center = np.zeros((1, K))
    for step in range(4):
        student, teacher = logits(2 * step), logits(2 * step + 1, VIEWS[:2])
        rows = np.concatenate([t.numpy() for t in teacher.values()])
        whole = sinkhorn(rows, T, 3) if centering == "sinkhorn" else softmax(rows - center, T)
        targets = dict(zip(teacher, np.split(whole, 2), strict=True))
        terms = apply(loss, Outputs({}, student), teacher)
        assert terms.total.item() == pytest.approx(pairwise(student, targets, squared), rel=1e-10)
        entropy = -np.mean([(q * np.log(q)).sum(1).mean() for q in targets.values()])
        # two of the four pairs have each of the teacher's views
        assert terms.logs["teacher_entropy"].item() == pytest.approx(entropy, rel=1e-10)
        assert terms.logs["kl"].item() == pytest.approx(pairwise(student, targets, False) - entropy, rel=1e-9)
        loss.commit([terms.update], Position(step, 10, 5))
        if centering == "mean":
            center = 0.9 * center + 0.1 * rows.mean(0, keepdims=True)
        np.testing.assert_allclose(loss.center.numpy(), center, atol=1e-12)


def test_squared_distance_has_the_gradient_of_its_formula() -> None:
    loss = DINOLoss(K, VIEWS, distance="mse").double()
    student = {view: rows.requires_grad_() for view, rows in logits(0).items()}
    teacher = logits(1, VIEWS[:2])
    assert torch.autograd.gradcheck(
        lambda *rows: apply(loss, Outputs({}, dict(zip(student, rows, strict=True))), teacher).total,
        tuple(student.values()),
    )


def test_a_predictor_takes_the_projections_place() -> None:
    student, teacher = logits(0), logits(1, VIEWS[:2])
    loss = DINOLoss(K, VIEWS, prediction_dim=K).double()
    assert loss.needs == {"predictions", "teacher"}
    assert DINOLoss(K, VIEWS).needs == {"projections", "teacher"}
    predicted = apply(loss, Outputs({}, logits(5), student), teacher).total
    assert torch.equal(predicted, apply(DINOLoss(K, VIEWS).double(), Outputs({}, student), teacher).total)


def test_sinkhorn_stays_finite_where_exponentials_would_not() -> None:
    found = balanced({"a": torch.randn(4, 5, dtype=torch.float32) * 1000}, 0.001, 3)["a"]
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.sum(1), torch.ones(4))


def _share(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    share = {view: rows.chunk(2)[rank] for view, rows in logits(3, VIEWS[:2]).items()}
    torch.save(balanced(share, T, 3), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_sinkhorn_on_two_ranks_is_that_of_the_joined_batch(tmp_path: Path) -> None:
    mp.spawn(_share, (str(tmp_path),), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    whole = balanced(logits(3, VIEWS[:2]), T, 3)
    for view, rows in whole.items():
        torch.testing.assert_close(torch.cat([part[view] for part in parts]), rows, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"centering": "sinkhorn", "teacher_temp": 0.0}, "centering sinkhorn needs a teacher_temp"),
        ({"sinkhorn_iterations": 0}, "sinkhorn_iterations is 0"),
        ({"prediction_dim": 5}, "predictor gives 5 numbers and the student's head 7"),
        ({"teacher_out_dim": 9}, "head gives 7 numbers and the teacher's head 9"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        DINOLoss(K, VIEWS, **options)  # type: ignore[arg-type]
