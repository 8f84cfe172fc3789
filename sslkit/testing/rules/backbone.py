"""Rules for backbones."""

from __future__ import annotations

import torch

from sslkit.parts.backbone import Tokens
from sslkit.testing.case import Case, draw, require
from sslkit.testing.rules import nets
from sslkit.testing.rules.nets import images_for, side_of

_KNOWN = {"patches", "attention", "intermediate"}


def shapes(case: Case) -> None:
    """Images ``[B, C, H, W]`` in, ``Tokens.cls [B, embed_dim]`` out, at any size that the stride divides."""
    net = case.build().eval()
    sides = side_of(net), side_of(net) + net.stride
    for height, width in ((sides[0], sides[0]), (sides[0], sides[1])):
        with torch.no_grad():
            tokens = net(draw(2, 3, height, width))
        require(isinstance(tokens, Tokens), f"forward gives a {type(tokens).__name__} instead of Tokens")
        found, wanted = tuple(tokens.cls.shape), (2, net.embed_dim)
        require(found == wanted, f"on images of {height} x {width} cls has the shape {found} instead of {wanted}")
        require(tokens.cls.is_floating_point(), f"cls is of type {tokens.cls.dtype}")


def channels(case: Case) -> None:
    """It takes images of as many channels as it was built for."""
    net = case.build(channels=4).eval()
    with torch.no_grad():
        net(draw(2, 4, side_of(net), side_of(net)))


def capabilities(case: Case) -> None:
    """What it declares works, in the declared shapes."""
    net = case.build().eval()
    unknown = sorted(net.capabilities - _KNOWN)
    require(not unknown, f"it declares the capability {', '.join(unknown)}; known: {', '.join(sorted(_KNOWN))}")
    images = images_for(net, 2)
    with torch.no_grad():
        if "patches" in net.capabilities:
            tokens = net(images, patches=True)
            require(
                tokens.patches is not None
                and tokens.patches.ndim == 3
                and tokens.patches.shape[::2] == (2, net.embed_dim),
                "it declares the capability 'patches', and forward(images, patches=True) gives no [B, N, embed_dim]",
            )
        if "attention" in net.capabilities:
            maps = net.attention(images)
            require(maps.ndim == 4 and maps.shape[2] == maps.shape[3], "attention is not [B, heads, P+N, P+N]")
            sums = maps.float().sum(-1)
            require(torch.allclose(sums, torch.ones_like(sums), atol=1e-3), "rows of attention do not sum to 1")
        if "intermediate" in net.capabilities:
            blocks = net.intermediate(images, 1)
            require(
                len(blocks) == 1 and blocks[0].patches is not None,
                "intermediate(images, 1) is not a list of one Tokens with patches",
            )


RULES = (shapes, channels, capabilities, *nets.RULES)
