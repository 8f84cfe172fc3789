"""Multinomial logistic regression to convergence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows of which logits are held at a time.
_CHUNK = 16384
#: The largest entry of the gradient that counts as zero, as a share of the largest one at the start.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Fit:
    """A linear classifier without intercept.

    Attributes:
        weight: ``[D, C]`` float64.
        converged: whether the solver came to the optimum before its iterations were used up.
    """

    weight: Tensor
    converged: bool


@torch.enable_grad()
def fit_logistic(x: Tensor, labels: Tensor, classes: int, *, l2: float, iterations: int) -> Fit:
    """Minimise the sum of all rows' cross-entropies plus ``l2 / 2`` times the squared norm of the weights.

    Full-batch L-BFGS from zero with a line search: no randomness. The problem is strictly convex, so there is one
    optimum; scikit-learn calls it ``LogisticRegression(C=1 / l2, fit_intercept=False)``.

    Args:
        x: ``[N, D]`` float64.
        labels: ``[N]`` int64.
        classes: C.
        l2: above 0.
        iterations: of L-BFGS, at most.
    """
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype, device=x.device, requires_grad=True)

    def mean_loss() -> Tensor:
        weight.grad = None
        total = l2 / 2 / len(x) * weight.square().sum()
        total.backward()
        for rows, right in zip(x.split(_CHUNK), labels.split(_CHUNK), strict=True):
            part = F.cross_entropy(rows @ weight, right, reduction="sum") / len(x)
            part.backward()
            total = total.detach() + part.detach()
        return total

    def largest_gradient() -> float:
        mean_loss()
        assert weight.grad is not None
        return float(weight.grad.abs().max())

    tolerance = _TOLERANCE * largest_gradient()
    solver = torch.optim.LBFGS(
        [weight],
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    solver.step(mean_loss)
    return Fit(weight.detach(), largest_gradient() <= tolerance)
