"""NT-Xent against its formula, and two real ranks against one process with the whole batch."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import LossTerms, Outputs, Position, Views, ViewSpec
from sslkit_contrastive.ntxent import NTXent


def specs(count: int) -> tuple[ViewSpec, ...]:
    return tuple(ViewSpec(f"global{i}", 8) for i in range(count))


def apply(loss: NTXent, rows: Tensor) -> LossTerms:
    """The loss of projections ``[V, B, K]``."""
    views = specs(len(rows))
    student = Outputs({}, projections={view.id: row for view, row in zip(views, rows, strict=True)})
    return loss(student, None, Views(views, {}, torch.arange(rows.shape[1]), None), Position(0, 10, 5))


def reference(rows: Tensor, temperature: float) -> tuple[Tensor, float]:
    """The mean over ordered positive pairs, and the share of views that find their image; one pair at a time."""
    count, batch, _ = rows.shape
    z = {(v, b): rows[v, b] / rows[v, b].norm() for v in range(count) for b in range(batch)}
    losses, found = [], 0
    for i in z:
        others = {k: (z[i] * z[k]).sum() / temperature for k in z if k != i}
        denominator = sum(value.exp() for value in others.values())
        losses += [-(others[j].exp() / denominator).log() for j in others if j[1] == i[1]]
        found += max(others, key=lambda k: others[k].item())[1] == i[1]
    return torch.stack(losses).mean(), 100 * found / len(z)


def draw(count: int, batch: int, k: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, batch, k, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("count", "batch"), [(2, 1), (2, 2), (2, 7), (3, 4), (5, 2)])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_value_gradient_and_accuracy_agree_with_the_formula(count: int, batch: int, temperature: float) -> None:
    rows, copy = (draw(count, batch).requires_grad_() for _ in range(2))
    terms = apply(NTXent(specs(count), temperature), rows)
    expected, accuracy = reference(copy, temperature)
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-10, abs=1e-12)
    assert terms.logs["positive_top1"].item() == pytest.approx(accuracy)
    assert not terms.logs["positive_top1"].requires_grad
    terms.total.backward()
    expected.backward()
    torch.testing.assert_close(rows.grad, copy.grad, rtol=1e-9, atol=1e-12)


def test_aligned_views_are_found_and_cost_little() -> None:
    image = torch.eye(6, dtype=torch.float64)
    terms = apply(NTXent(specs(2), 0.1), torch.stack([image, 3 * image]))
    assert terms.logs["positive_top1"].item() == 100
    assert terms.total.item() == pytest.approx(math.log(1 + 10 * math.exp(-10)))


@pytest.mark.parametrize("rows", [torch.ones(2, 1, 4), torch.ones(2, 5, 4), torch.ones(3, 4, 4) * -1e4,
                                  draw(2, 3).float() * 1e-8, draw(2, 3).to(torch.bfloat16)])  # fmt: skip
def test_duplicates_and_single_images_stay_finite(rows: Tensor) -> None:
    rows = rows.clone().requires_grad_()
    terms = apply(NTXent(specs(len(rows)), 0.1), rows)
    terms.total.backward()
    assert terms.total.dtype == torch.float32
    assert terms.total.isfinite()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()


def test_all_alike_is_the_logarithm_of_the_number_of_others() -> None:
    assert apply(NTXent(specs(2)), torch.ones(2, 5, 4)).total.item() == pytest.approx(math.log(9))
    assert apply(NTXent(specs(2)), torch.ones(2, 1, 4)).total.item() == pytest.approx(0)


def _net() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(6, 4).double()


def _on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net = torch.nn.parallel.DistributedDataParallel(_net())
    images = draw(3, 6)[:, 3 * rank : 3 * rank + 3]
    terms = apply(NTXent(specs(3), 0.3), net(images))
    terms.total.backward()
    found = {"total": terms.total.detach(), "top1": terms.logs["positive_top1"]}
    for value in found.values():
        dist.all_reduce(value)
        value /= 2
    gradients = {name: parameter.grad for name, parameter in net.module.named_parameters()}
    torch.save(found | gradients, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()
    os._exit(0)  # torch's own threads now and then abort the interpreter's end


def test_two_ranks_agree_with_one_process_on_value_and_gradient(tmp_path: Path) -> None:
    mp.spawn(_on_a_rank, args=(str(tmp_path),), nprocs=2)
    net = _net()
    terms = apply(NTXent(specs(3), 0.3), net(draw(3, 6)))
    terms.total.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["total"], terms.total.detach(), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found["top1"], terms.logs["positive_top1"])
        torch.testing.assert_close(found["weight"], net.weight.grad, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found["bias"], net.bias.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_bad_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(UserError, match="temperature is"):
        NTXent(specs(2), temperature)


def test_a_single_view_is_refused() -> None:
    with pytest.raises(UserError, match="two are the least"):
        NTXent(specs(1))
    with pytest.raises(UserError, match="makes 1 for the student"):
        NTXent((ViewSpec("a", 8), ViewSpec("b", 8, student=False)))


def test_it_says_that_it_depends_on_the_batch() -> None:
    assert NTXent.batch_statistics
    assert NTXent.needs == {"projections"}
