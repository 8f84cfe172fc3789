"""Rules that backbones and heads share: what a net must be, to be copied, trained, saved and judged."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sslkit.parts.backbone import Backbone, Tokens
from sslkit.testing.case import FEATURES, Case, changed, draw, require, state_of, untouched_generators


def side_of(net: Backbone) -> int:
    """A side in pixels that the net's stride divides."""
    return -(-32 // net.stride) * net.stride


def images_for(net: Backbone, count: int) -> Tensor:
    """Up to four fixed images."""
    return draw(4, 3, side_of(net), side_of(net))[:count]


def output(net: nn.Module, count: int) -> Tensor:
    """The main output of a backbone or a head for up to four fixed samples."""
    if isinstance(net, Backbone):
        tokens: Tokens = net(images_for(net, count))
        return tokens.cls
    projections: Tensor = net(draw(4, FEATURES)[:count])
    return projections


def same_initial_weights(case: Case) -> None:
    """Initial weights are a function of torch's seed."""
    different = changed(state_of(case.build(seed=1)), state_of(case.build(seed=1)))
    require(not different, f"built twice under one seed, it starts with other weights ({', '.join(different[:3])})")


def deterministic(case: Case) -> None:
    """In eval mode the same input gives the same output, and no random number is drawn."""
    net = case.build().eval()
    with untouched_generators(), torch.no_grad():
        one, other = output(net, 4), output(net, 4)
    require(torch.equal(one, other), "in eval mode the same input gives another output the second time")


def samples_apart(case: Case) -> None:
    """In eval mode a sample's output does not depend on the others of its batch."""
    net = case.build().eval()
    with torch.no_grad():
        together, alone = output(net, 4)[:1], output(net, 1)
    require(
        torch.allclose(together, alone, rtol=1e-4, atol=1e-5),
        "in eval mode a sample's output depends on the others of its batch",
    )


def finite_numbers(case: Case) -> None:
    """Outputs are finite, under bf16 autocast too."""
    net = case.build()
    require(bool(output(net, 4).isfinite().all()), "its output is not finite")
    with torch.autocast("cpu", torch.bfloat16):
        half = output(net, 4)
    require(bool(half.isfinite().all()), "under bf16 autocast its output is not finite")


def every_weight_learns(case: Case) -> None:
    """Every trainable parameter gets a gradient: one that gets none stops DDP."""
    net = case.build().train()
    torch.autograd.backward(output(net, 4).square().sum())
    idle = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
    require(not idle, f"{', '.join(idle[:3])} get no gradient: leave them out, or set requires_grad to False")


def saved_and_copied(case: Case) -> None:
    """A copy, and another net with its saved state, give its outputs."""
    net = case.build(seed=1).train()
    with torch.no_grad():
        output(net, 4)  # running statistics move
    state = state_of(net)
    twin = case.build(seed=2)
    twin.load_state_dict(state, strict=True)
    with torch.no_grad():
        wanted = output(net.eval(), 4)
        for label, other in (("a net with its saved state", twin), ("a deep copy", copy.deepcopy(net))):
            require(torch.equal(output(other.eval(), 4), wanted), f"{label} gives another output: it keeps state "
                    "that is neither parameter nor buffer")  # fmt: skip


RULES = (same_initial_weights, deterministic, samples_apart, finite_numbers, every_weight_learns, saved_and_copied)
