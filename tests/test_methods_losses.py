"""The losses of the other methods against their formulas in float64, and against lightly where it has the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import Loss, LossTerms, Outputs, Position, Views, ViewSpec
from sslkit_clustering.swav import SwAVLoss
from sslkit_contrastive.info_nce import InfoNCE, QueueInfoNCE
from sslkit_contrastive.ntxent import NTXent
from sslkit_redundancy.barlow_twins import BarlowTwinsLoss
from sslkit_redundancy.vicreg import VICRegLoss
from sslkit_siamese.cosine import BYOLLoss, SimSiamLoss
from sslkit_supervised.cross_entropy import CrossEntropy

B, K = 6, 5
TWO = (ViewSpec("a", 8), ViewSpec("b", 8))
CROPS = (*TWO, ViewSpec("c", 4, teacher=False))
APART = (ViewSpec("a", 8, teacher=False), ViewSpec("b", 8, student=False))
AT = Position(0, 10, 5)


def rows(seed: int, count: int = 2, batch: int = B, width: int = K) -> dict[str, Tensor]:
    """Float64 rows ``[batch, width]`` of the first views of a, b, c."""
    draw = torch.Generator().manual_seed(seed)
    return {view: torch.randn(batch, width, generator=draw, dtype=torch.float64) for view in "abc"[:count]}


def apply(loss: Loss, student: Outputs, teacher: Outputs | None = None, labels: Tensor | None = None) -> LossTerms:
    return loss.double()(student, teacher, Views(TWO, {}, torch.arange(B), labels), AT)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum(-1, keepdims=True))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def arrays(views: dict[str, Tensor]) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in views.values()]


def test_info_nce_is_moco_v3() -> None:
    p, z = rows(0), rows(1)
    found = apply(InfoNCE(K, TWO, K, K, temperature=0.3), Outputs({}, rows(2), p), Outputs({}, z))
    (pa, pb), (za, zb) = (map(unit, arrays(x)) for x in (p, z))
    wanted = sum(
        2 * 0.3 * np.mean([-np.log(softmax(q @ k.T / 0.3)[i, i]) for i in range(B)]) for q, k in ((pa, zb), (pb, za))
    )
    assert found.total.item() == pytest.approx(wanted, rel=1e-12)
    best = [(q @ k.T).argmax(1) == np.arange(B) for q, k in ((pa, zb), (pb, za))]
    assert found.logs["positive_top1"].item() == pytest.approx(100 * np.mean(best))


def test_info_nce_reads_projections_without_a_predictor() -> None:
    loss = InfoNCE(K, TWO, K)
    assert loss.needs == {"projections", "teacher"}
    assert InfoNCE(K, TWO, K, K).needs == {"predictions", "teacher"}
    s, z = rows(0), rows(1)
    predicted = apply(InfoNCE(K, TWO, K, K), Outputs({}, z, s), Outputs({}, z)).total
    torch.testing.assert_close(apply(loss, Outputs({}, s), Outputs({}, z)).total, predicted)


def test_the_queue_is_mocos() -> None:
    torch.manual_seed(0)
    loss = QueueInfoNCE(K, APART, K, temperature=0.2, queue_length=8).double()
    before = loss.queue.rows.clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(8, dtype=torch.float64))
    q, k = rows(0)["a"], rows(1)["b"]
    terms = apply(loss, Outputs({}, {"a": q}), Outputs({}, {"b": k}))
    qs, ks = unit(q.numpy()), unit(k.numpy())
    logits = np.concatenate([(qs * ks).sum(1, keepdims=True), qs @ before.numpy().T], axis=1) / 0.2
    assert terms.total.item() == pytest.approx(-np.log(softmax(logits)[:, 0]).mean(), rel=1e-12)
    torch.testing.assert_close(loss.queue.rows, before)  # forward has no side effect
    loss.commit([terms.update], AT)
    np.testing.assert_allclose(loss.queue.rows.numpy(), [*ks, *before[6:].numpy()])
    loss.commit([terms.update], AT)  # rows 6, 7, 0, 1, 2, 3: the ring begins anew
    np.testing.assert_allclose(loss.queue.rows.numpy(), [*ks[2:], *ks[4:], *ks[:2]])
    assert loss.queue.full()


def test_a_push_larger_than_the_queue_leaves_the_newest() -> None:
    loss = QueueInfoNCE(K, APART, K, queue_length=4).double()
    keys = rows(3)["a"]
    loss.commit([{"keys": keys}], AT)
    torch.testing.assert_close(loss.queue.rows, keys[-4:])


@pytest.mark.parametrize("taught", [True, False])
def test_byol_and_simsiam(taught: bool) -> None:
    p, z, own = rows(0), rows(1), rows(2)
    student, teacher = Outputs({}, own, p), Outputs({}, z) if taught else None
    (pa, pb), (za, zb) = (map(unit, arrays(x)) for x in (p, z if taught else own))
    cosines = [(pa * zb).sum(1).mean(), (pb * za).sum(1).mean()]
    byol = apply(BYOLLoss(K, TWO, K, K if taught else None), student, teacher)
    assert byol.total.item() == pytest.approx(sum(2 - 2 * cosine for cosine in cosines), rel=1e-12)
    simsiam = apply(SimSiamLoss(K, TWO, K), student, teacher)
    assert simsiam.total.item() == pytest.approx(-np.mean(cosines), rel=1e-12)
    spread = math.sqrt(K) * np.mean([za.std(0).mean(), zb.std(0).mean()])
    assert byol.logs["target_std"].item() == pytest.approx(spread)


def test_no_gradient_reaches_the_targets() -> None:
    p, z = ({view: x.requires_grad_() for view, x in rows(seed).items()} for seed in (0, 1))
    apply(SimSiamLoss(K, TWO, K), Outputs({}, z, p)).total.backward()
    assert all(x.grad is not None for x in p.values())
    assert all(x.grad is None for x in z.values())


def _swav(
    scores: dict[str, Tensor], queued: dict[str, np.ndarray] | None, T: float, eps: float, iterations: int
) -> float:
    """SwAV's public procedure, in plain numpy: Q is [K, samples] there."""
    losses = []
    for i in "ab":
        own = scores[i].numpy()
        everything = own if queued is None else np.concatenate([queued[i], own])
        q = np.exp(everything / eps).T
        q /= q.sum()
        for _ in range(iterations):
            q /= q.sum(1, keepdims=True) * q.shape[0]
            q /= q.sum(0, keepdims=True) * q.shape[1]
        codes = (q * q.shape[1]).T[-B:]
        others = [v for v in scores if v != i]
        losses.append(np.mean([-(codes * np.log(softmax(scores[v].numpy() / T))).sum(1).mean() for v in others]))
    return float(np.mean(losses))


def test_swav_without_a_queue() -> None:
    scores = {view: torch.tanh(x) for view, x in rows(0, 3, width=7).items()}
    loss = SwAVLoss(K, CROPS, lambda x: x, temperature=0.2, epsilon=0.1)
    terms = apply(loss, Outputs({}, rows(1, 3), scores))
    assert terms.total.item() == pytest.approx(_swav(scores, None, 0.2, 0.1, 3), rel=1e-10)
    assert not terms.update


def test_swavs_queue_takes_part_once_it_is_full_and_is_scored_by_the_prototypes_of_today() -> None:
    scores = {view: torch.tanh(x) for view, x in rows(0, 3, width=7).items()}
    z = rows(1, 3)
    prototypes = rows(2, 1, batch=7)["a"]
    loss = SwAVLoss(K, CROPS, lambda x: x @ prototypes.T, 0.2, 0.5, queue_length=8, queue_from_epoch=1).double()
    student, views = Outputs({}, z, scores), Views(CROPS, {}, torch.arange(B), None)
    alone = _swav(scores, None, 0.2, 0.5, 3)
    for step in (3, 4, 5, 6):  # the queue is filled from step 5 on, by 6 rows a step
        terms = loss(student, None, views, Position(step, 20, 5))
        assert terms.total.item() == pytest.approx(alone, rel=1e-10)
        loss.commit([terms.update], Position(step, 20, 5))
    assert [int(queue.written) for queue in loss.queues] == [12, 12]
    prototypes = -prototypes
    found = loss(student, None, views, Position(7, 20, 5)).total.item()
    queued = {v: loss.queues[n].rows.numpy() @ prototypes.numpy().T for n, v in enumerate("ab")}
    assert found == pytest.approx(_swav(scores, queued, 0.2, 0.5, 3), rel=1e-10)
    assert found != pytest.approx(alone, rel=1e-6)


def test_barlow_twins() -> None:
    z = rows(0)
    found = apply(BarlowTwinsLoss(TWO, weight_off_diagonal=0.02, eps=1e-5), Outputs({}, z))
    a, b = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) for x in arrays(z))
    c = a.T @ b / B
    wanted = ((np.diag(c) - 1) ** 2).sum() + 0.02 * ((c - np.diag(np.diag(c))) ** 2).sum()
    assert found.total.item() == pytest.approx(wanted, rel=1e-12)


def test_vicreg() -> None:
    z = rows(0)
    found = apply(VICRegLoss(TWO), Outputs({}, z))
    a, b = arrays(z)
    wanted = 25 * ((a - b) ** 2).mean()
    for x in (a, b):
        wanted += 25 * np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean() / 2
        c = np.cov(x.T)
        wanted += ((c - np.diag(np.diag(c))) ** 2).sum() / K
    assert found.total.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing: float) -> None:
    logits, labels = rows(0), torch.arange(B) % K
    found = apply(CrossEntropy(smoothing), Outputs({}, logits), labels=labels)
    target = np.eye(K)[labels.numpy()] * (1 - smoothing) + smoothing / K
    wanted = np.mean([-(target * np.log(softmax(x))).sum(1).mean() for x in arrays(logits)])
    assert found.total.item() == pytest.approx(wanted, rel=1e-12)
    right = np.mean([x.argmax(1) == labels.numpy() for x in arrays(logits)])
    assert found.logs["top1"].item() == pytest.approx(100 * right)


def _lightly_pairs() -> dict[str, tuple[Callable[[Any], Loss], Callable[[Any, Any, Any], Tensor]]]:
    """Ours, and the same in lightly over projections z and predictions p of two views."""
    return {
        "NTXentLoss": (lambda _: NTXent(TWO, 0.5), lambda loss, p, z: loss(*z)),
        "NegativeCosineSimilarity": (
            lambda _: SimSiamLoss(K, TWO, K),
            lambda loss, p, z: (loss(p[0], z[1]) + loss(p[1], z[0])) / 2,
        ),
        "BarlowTwinsLoss": (lambda _: BarlowTwinsLoss(TWO, 0.005), lambda loss, p, z: loss(*z)),
        "VICRegLoss": (lambda _: VICRegLoss(TWO), lambda loss, p, z: loss(*z)),
    }


@pytest.mark.parametrize("name", ["NTXentLoss", "NegativeCosineSimilarity", "BarlowTwinsLoss", "VICRegLoss"])
def test_agrees_with_lightly(name: str) -> None:
    lightly_loss = pytest.importorskip("lightly.loss")
    make, call = _lightly_pairs()[name]
    options = {"NTXentLoss": {"temperature": 0.5}, "BarlowTwinsLoss": {"lambda_param": 0.005}}.get(name, {})
    theirs = getattr(lightly_loss, name)(**options)
    sizes = {"batch": 16, "width": 12}
    p, z = ({view: x.float() for view, x in rows(seed, **sizes).items()} for seed in (0, 1))
    ours = make(K)(Outputs({}, z, p), None, Views(TWO, {}, torch.arange(16), None), AT).total
    wanted = call(theirs, list(p.values()), list(z.values()))
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)


def test_swav_agrees_with_lightly() -> None:
    lightly_loss = pytest.importorskip("lightly.loss")
    scores = {view: torch.tanh(x).float() for view, x in rows(0, 3, batch=16, width=7).items()}
    theirs = lightly_loss.SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)
    views = Views(CROPS, {}, torch.arange(16), None)
    ours = SwAVLoss(K, CROPS, lambda x: x)(Outputs({}, rows(1, 3, batch=16), scores), None, views, AT).total
    wanted = theirs([scores["a"], scores["b"]], [scores["c"]])
    torch.testing.assert_close(ours, wanted.squeeze(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNCE(K, TWO, K, temperature=0.0), "temperature is 0"),
        (lambda: InfoNCE(K, TWO, K + 1), "they are compared one by one"),
        (lambda: InfoNCE(K, TWO[:1], K), "two views are the least"),
        (lambda: QueueInfoNCE(K, APART, K, queue_length=0), "queue_length is 0"),
        (lambda: BYOLLoss(K, TWO, K + 2), "predictor gives 7 numbers and the student's head 5"),
        (lambda: SwAVLoss(K, TWO, lambda x: x, epsilon=0.0), "epsilon is 0"),
        # query and key apart: the student sees one view alone
        (lambda: SwAVLoss(K, APART, lambda x: x), "'swav' compares .* and 0 for the student again"),
        (lambda: SimSiamLoss(K, APART, K), "'simsiam' compares .* and 0 for the student again"),
        (lambda: BarlowTwinsLoss(APART), "'barlow_twins' compares views .* makes 1 for the student"),
        (lambda: VICRegLoss(APART), "'vicreg' compares views .* makes 1 for the student"),
        (lambda: SwAVLoss(K, TWO, lambda x: x, queue_length=-1), "queue_length is -1"),
        (lambda: BarlowTwinsLoss(TWO, weight_off_diagonal=-1.0), "weight_off_diagonal is -1"),
        (lambda: BarlowTwinsLoss(TWO, eps=0.0), "eps is 0"),
        (lambda: VICRegLoss(TWO, variance=-1.0), "variance is -1"),
        (lambda: CrossEntropy(1.0), "label_smoothing is 1"),
    ],
)
def test_bad_options_are_one_sentence(make: Callable[[], Loss], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("batch", [1, 4])
def test_nothing_but_finite_numbers_of_single_images_zeros_and_duplicates(fill: float, batch: int) -> None:
    flat = {view: torch.full((batch, K), fill, requires_grad=True) for view in "ab"}
    teacher = Outputs({}, {view: x.detach() for view, x in flat.items()})
    views = Views(TWO, {}, torch.arange(batch), torch.zeros(batch, dtype=torch.int64))
    for loss in (
        InfoNCE(K, TWO, K), QueueInfoNCE(K, TWO, K, queue_length=4), BYOLLoss(K, TWO, K, K), SimSiamLoss(K, TWO, K),
        SwAVLoss(K, TWO, lambda x: x), BarlowTwinsLoss(TWO), VICRegLoss(TWO), CrossEntropy(),
    ):  # fmt: skip
        total = loss(Outputs({}, flat, flat), teacher, views, AT).total
        gradients = torch.autograd.grad(total, list(flat.values()), allow_unused=True)
        assert total.isfinite(), type(loss)
        assert all(g is None or g.isfinite().all() for g in gradients), type(loss)
