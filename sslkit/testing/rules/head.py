"""Rules for projection heads and predictors."""

from __future__ import annotations

import torch

from sslkit.testing.case import FEATURES, Case, draw, require
from sslkit.testing.rules import nets


def shapes(case: Case) -> None:
    """Features ``[..., D]`` in, projections ``[..., out_dim]`` out."""
    net = case.build().eval()
    for leading in ((4,), (2, 3)):
        with torch.no_grad():
            found = tuple(net(draw(*leading, FEATURES)).shape)
        wanted = (*leading, net.out_dim)
        require(found == wanted, f"of features {(*leading, FEATURES)} it makes {found} instead of {wanted}")


def edges(case: Case) -> None:
    """Zero features, equal features and, in eval mode, a single sample give finite projections and gradients."""
    for label, features, training in (
        ("features of zero", torch.zeros(4, FEATURES), True),
        ("equal features", torch.ones(4, FEATURES), True),
        ("a single sample", draw(1, FEATURES), False),
    ):
        net = case.build().train(training)
        features.requires_grad_()
        found = net(features)
        gradient = torch.autograd.grad(found.sum(), features)[0]
        require(bool(found.isfinite().all()), f"of {label} it makes projections that are not finite")
        require(bool(gradient.isfinite().all()), f"of {label} it makes gradients that are not finite")


RULES = (shapes, edges, *nets.RULES)
