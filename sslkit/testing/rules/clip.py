"""Rules for gradient clippers."""

from __future__ import annotations

import torch
from torch import Tensor

from sslkit.testing.case import Case, draw, require, untouched_generators


def _gradients(scale: float) -> list[Tensor]:
    return [scale * draw(3, 4), scale * draw(5, seed=1), scale * draw(2, 2, 2, seed=2)]


def norms(case: Case) -> None:
    """It returns the norms before clipping, ``[n]`` in the gradients' order."""
    for scale in (1e-6, 1.0, 1e4):
        gradients = _gradients(scale)
        wanted = torch.stack([gradient.norm() for gradient in gradients])
        with untouched_generators():
            found = case.build()(gradients)
        require(found.shape == wanted.shape, f"of 3 gradients it returns the shape {tuple(found.shape)}")
        require(torch.allclose(found.float(), wanted, rtol=1e-4), "it does not return the norms before clipping")


def bounds(case: Case) -> None:
    """In place, no gradient gets longer or turns."""
    for scale in (1e-6, 1.0, 1e4):
        gradients, before = _gradients(scale), _gradients(scale)
        case.build()(gradients)
        for own, was in zip(gradients, before, strict=True):
            require(bool(own.norm() <= was.norm() * (1 + 1e-5)), "a gradient is longer than before")
            cosine = torch.nn.functional.cosine_similarity(own.flatten(), was.flatten(), dim=0)
            require(bool(cosine > 0.999) or bool(own.norm() == 0), "a gradient points elsewhere than before")


def edges(case: Case) -> None:
    """Gradients of zero stay zero, and one that is not finite is not hidden from the finite check."""
    zero = [torch.zeros(3), torch.zeros(2, 2)]
    case.build()(zero)
    require(all(bool((gradient == 0).all()) for gradient in zero), "gradients of zero do not stay zero")
    broken = [torch.tensor([1.0, float("nan")]), torch.ones(2)]
    found = case.build()(broken)
    require(
        not bool(found.isfinite().all()), "the norm of a gradient with NaN comes out finite: the step would be made"
    )


RULES = (norms, bounds, edges)
