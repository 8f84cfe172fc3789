"""Linear classifiers with several learning rates, trained side by side in one batched product."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.parts import generator
from sslkit_evaluators.top_hits import top_hits

#: Of SGD (eval_linear.py of the reference DINO).
MOMENTUM = 0.9


class LinearProbes:
    """R softmax classifiers of the same features and weights, one a learning rate.

    Trained by SGD with momentum 0.9 and no weight decay on the mean cross-entropy; weights begin as N(0, 0.01),
    biases as 0, alike for all rates (eval_linear.py of the reference DINO). No gradient graph is made: the gradient
    of the cross-entropy is softmax minus one-hot.

    Args:
        width: D of the features.
        classes: number of classes.
        lrs: R learning rates at the start, for 256 images a step.
        batch_size: images a step; rates scale with batch_size / 256.
        epochs: passes over the features that will be made; rates follow a cosine to zero over them.
        seed: of the initial weights and the order of the images.
        device: where the features are.

    Attributes:
        weight: ``[D, R, C]`` float32: all rates in one matrix product.
        bias: ``[R, C]`` float32.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        lrs: Sequence[float],
        batch_size: int,
        epochs: int,
        seed: int,
        device: torch.device,
    ) -> None:
        first = generator("linear_probe", seed).normal(0, 0.01, (width, classes))
        start = torch.from_numpy(first).to(device, torch.float32)
        self.weight = start[:, None].repeat(1, len(lrs), 1)
        self.bias = self.weight.new_zeros(len(lrs), classes)
        self._lrs = self.weight.new_tensor(lrs)[:, None] * (batch_size / 256)
        self._batch_size, self._epochs, self._seed = batch_size, epochs, seed
        self._weight_momentum, self._bias_momentum = torch.zeros_like(self.weight), torch.zeros_like(self.bias)

    def train_epoch(self, x: Tensor, labels: Tensor, epoch: int) -> None:
        """One pass in a random order, at one rate: that of torch's CosineAnnealingLR, stepped once an epoch.

        Args:
            x: ``[N, D]``.
            labels: ``[N]`` int64.
            epoch: which pass, 0-based.
        """
        factor = (1 + math.cos(math.pi * epoch / self._epochs)) / 2
        order = torch.from_numpy(generator("linear_order", self._seed, epoch).permutation(len(x))).to(x.device)
        for rows in order.split(self._batch_size):
            self.step(x[rows], labels[rows], factor)

    def step(self, x: Tensor, labels: Tensor, factor: float) -> None:
        """One step of SGD on a batch.

        Args:
            x: ``[B, D]``.
            labels: ``[B]`` int64.
            factor: of every learning rate, from the schedule.
        """
        # no smaller: where a large rate saturates, subnormal numbers make products several times slower on a CPU
        gradient = self.logits(x).softmax(dim=2).clamp_min_(1e-20)
        gradient[torch.arange(len(x), device=x.device), :, labels] -= 1
        # everything else is folded into the two products: passes over [B, R, C] and [D, R, C] cost as much as they do
        self._weight_momentum.flatten(1).addmm_(x.T, gradient.flatten(1), beta=MOMENTUM, alpha=1 / len(x))
        self._bias_momentum.mul_(MOMENTUM).add_(gradient.sum(dim=0), alpha=1 / len(x))
        rates = factor * self._lrs
        self.weight.addcmul_(self._weight_momentum, rates, value=-1)
        self.bias.addcmul_(self._bias_momentum, rates, value=-1)

    def logits(self, x: Tensor) -> Tensor:
        """``[B, D] -> [B, R, C]``."""
        return torch.addmm(self.bias.flatten(), x, self.weight.flatten(1)).unflatten(1, self.bias.shape)

    def accuracy(self, x: Tensor, labels: Tensor, *, top: int = 1, chunk: int = 4096) -> list[float]:
        """Accuracy in percent for each rate; 0 where it diverged. Arguments as of :meth:`right`."""
        return (self.right(x, labels, top=top, chunk=chunk).sum(dim=0).double() * 100 / len(x)).tolist()

    def right(self, x: Tensor, labels: Tensor, *, top: int = 1, chunk: int = 4096) -> Tensor:
        """Which rows each rate classifies correctly, bool ``[N, R]``; none where it diverged.

        Args:
            x: ``[N, D]``.
            labels: ``[N]`` int64.
            top: among how many classes the right one must be.
            chunk: rows at a time.
        """
        parts = zip(x.split(chunk), labels.split(chunk), strict=True)
        return torch.cat([top_hits(self.logits(rows), right[:, None], top) for rows, right in parts])


def check_rates(lrs: Sequence[float]) -> None:
    """Refuse learning rates that are none.

    Raises:
        UserError: for no rate, one that is not positive, or two that are the same.
    """
    if not lrs or min(lrs) <= 0 or len(set(lrs)) < len(lrs):
        raise UserError(f"lrs: {list(lrs)} must be one or more different learning rates above 0")


def check_length(epochs: int, batch_size: int) -> None:
    """Refuse a training of no length.

    Raises:
        UserError: if one of them is less than 1.
    """
    if epochs < 1:
        raise UserError(f"epochs: {epochs} must be at least 1")
    if batch_size < 1:
        raise UserError(f"batch_size: {batch_size} must be at least 1")
