"""Whether the right class is among the first ones."""

from __future__ import annotations

import torch
from torch import Tensor

from sslkit.parts import Answers


def top_hits(logits: Tensor, labels: Tensor, top: int = 1) -> Tensor:
    """Whether the right class is among the ``top`` largest logits; never where one of them is not finite.

    Of equal logits the lower class comes first.

    Args:
        logits: ``[..., C]``.
        labels: ``[...]`` int64, in 0..C-1; broadcast to the shape of the logits.
        top: how many classes count.

    Returns:
        bool ``[...]``.
    """
    wanted = labels.expand(logits.shape[:-1])[..., None]
    mine = logits.gather(-1, wanted)
    classes = torch.arange(logits.shape[-1], device=logits.device)
    before = (logits > mine) | ((logits == mine) & (classes < wanted))
    return (before.sum(dim=-1) < top) & torch.isfinite(logits).all(dim=-1)


def top_accuracy(logits: Tensor, labels: Tensor, top: int = 1) -> float:
    """Share of rows whose right class is among the first, in percent.

    Args:
        logits: ``[N, C]``.
        labels: ``[N]`` int64.
        top: how many classes count.
    """
    return 100 * float(top_hits(logits, labels, top).double().mean())


def top_answers(logits: Tensor, labels: Tensor, images: Tensor) -> dict[str, Answers]:
    """The answers ``top1`` and ``top5`` of one classifier.

    Args:
        logits: ``[N, C]``.
        labels: ``[N]`` int64.
        images: ``[N]`` int64, which test images the rows are of.
    """
    return {f"top{top}": Answers(images, top_hits(logits, labels, top)) for top in (1, 5)}
