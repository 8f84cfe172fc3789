"""PCA whitening of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Whitening:
    """A learned linear map that evens out the variances of features.

    Attributes:
        mean: ``[D]``, subtracted first.
        map: ``[D', D]``, the principal components by falling variance, each divided by its variance to a power.
    """

    mean: Tensor
    map: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``[N, D] -> [N, D']``."""
        return (x.double() - self.mean) @ self.map.T


def learn_whitening(x: Tensor, power: float = 0.5, dims: int | None = None) -> Whitening:
    """The whitening of the reference DINO's eval_copy_detection.py (utils.py, PCA), computed in float64.

    As there, components are those of the second moment that is *not* centred, although features are; eigenvalues below
    1e-5 of the largest are raised to that.

    Args:
        x: ``[N, D]``, the features that it is learned from.
        power: of the eigenvalues; 0.5 whitens wholly.
        dims: how many components are kept, the largest; None: all.
    """
    x = x.double()
    eigenvalues, vectors = torch.linalg.eigh(second_moment(x))
    scales = eigenvalues.clamp_min(eigenvalues[-1] * 1e-5) ** -power
    return Whitening(x.mean(dim=0), (vectors * scales).T.flip(0)[:dims])


def second_moment(x: Tensor) -> Tensor:
    """``[N, D] -> [D, D]``, not centred."""
    return x.T @ x / len(x)
