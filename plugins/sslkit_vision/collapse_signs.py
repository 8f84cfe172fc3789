"""What shows that a network's outputs collapse: numbers of one step, and what they say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.parts import Outputs

_ENTROPY, _KL = "/teacher_entropy", "/kl"

#: Share of a batch whose outputs must have one and the same largest entry before a peaked teacher counts as one
#: dimension: a sharp teacher of a student that has learned well is peaked too, but elsewhere for other images.
_SAME_ENTRY = 0.95
#: Dimensions that a batch must be able to span before its rank is judged.
_LEAST_DIMENSIONS = 8


class Spread(NamedTuple):
    """How a batch's outputs lie.

    Attributes:
        relative_std: standard deviation of the L2-normalised rows, averaged over the D dimensions, times sqrt(D):
            near 1 for rows spread evenly over the sphere, 0 for equal ones (Chen and He 2021, figure 2).
        rank: effective rank: exp of the entropy of the normalised eigenvalues of the rows' covariance.
        most: the largest that it can be, ``min(B - 1, D)``.
    """

    relative_std: float
    rank: float
    most: int


class Look(NamedTuple):
    """The numbers of one step, on the host.

    Attributes:
        losses: the teacher's entropy and the KL divergence, in nats, by the id of the loss that logs both.
        width: K of the teacher's projections; 0 without.
        agreement: share of the batch whose student's outputs have the commonest largest entry.
        spreads: of the student's ``features`` and ``projections``, where there are any.
    """

    losses: Mapping[str, tuple[float, float]]
    width: int
    agreement: float
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class Limits:
    """From where on a number is a sign: see the options of :class:`sslkit_vision.collapse.CollapseMonitor`."""

    uniform_above: float
    peaked_below: float
    kl_below: float
    std_below: float
    rank_below: float


class Reading(NamedTuple):
    """What one look says of one kind of collapse.

    Attributes:
        kind: ``uniform``, ``one_dimension``, ``constant`` or ``low_rank``.
        of: the loss's id, or ``features`` or ``projections``.
        shows: whether the look shows it.
        evidence: the numbers.
    """

    kind: str
    of: str
    shows: bool
    evidence: str


def look(
    metrics: Mapping[str, Tensor], student: Outputs, teacher: Outputs | None, max_images: int = 128
) -> Look | None:
    """Measure one step with one copy to the host.

    Args:
        metrics: the step's logged numbers by ``loss id/name``.
        student: its outputs; the first view's are looked at.
        teacher: its outputs, for the width of its projections.
        max_images: at most so many rows of the batch.

    Returns:
        None if a number is not finite: what the finite check of the step is for.
    """
    ids = [name.removesuffix(_ENTROPY) for name in metrics if name.endswith(_ENTROPY)]
    ids = [loss for loss in ids if loss + _KL in metrics]
    rows = {"features": _first(student.features, max_images)}
    if student.projections:
        rows["projections"] = _first(student.projections, max_images)
    picks = list(rows.values())[-1].argmax(dim=1)
    parts = [metrics[loss + end] for loss in ids for end in (_ENTROPY, _KL)]
    parts.append((picks[:, None] == picks).float().mean(dim=1).max())
    for x in rows.values():
        parts += [_relative_std(x), _scatter(x)]
    numbers = torch.cat([part.float().flatten() for part in parts]).cpu()
    if not bool(torch.isfinite(numbers).all()):
        return None
    pieces = iter(numbers.double().split([part.numel() for part in parts]))
    losses = {loss: (float(next(pieces)), float(next(pieces))) for loss in ids}
    agreement = float(next(pieces))
    spreads = {
        name: Spread(float(next(pieces)), _effective_rank(next(pieces)), min(x.shape[0] - 1, x.shape[1]))
        for name, x in rows.items()
    }
    targets = {} if teacher is None else teacher.projections
    return Look(losses, max((x.shape[1] for x in targets.values()), default=0), agreement, spreads)


def readings(seen: Look, limits: Limits) -> Iterator[Reading]:
    """What a look says of every kind, the gravest first; nothing of what cannot be judged."""
    if seen.width > 1:
        yield from _of_the_teacher(seen, limits)
    judged = {name: spread for name, spread in seen.spreads.items() if spread.most >= 1}
    for name, spread in judged.items():
        numbers = f"relative std {spread.relative_std:.4f}; spread evenly it is 1"
        yield Reading("constant", name, spread.relative_std < limits.std_below, numbers)
    for name, spread in judged.items():
        if spread.most >= _LEAST_DIMENSIONS:
            flat = math.log(spread.rank) < limits.rank_below * math.log(spread.most)
            yield Reading("low_rank", name, flat, f"effective rank {spread.rank:.2f} of at most {spread.most}")


def _of_the_teacher(seen: Look, limits: Limits) -> Iterator[Reading]:
    most = math.log(seen.width)
    for loss, (entropy, kl) in seen.losses.items():
        numbers = f"{loss}: entropy {entropy:.2f} of at most log {seen.width} = {most:.2f} nats, KL {kl:.3f}"
        agreed, same = kl < limits.kl_below, seen.agreement >= _SAME_ENTRY
        yield Reading("uniform", loss, agreed and entropy > limits.uniform_above * most, numbers)
        yield Reading("one_dimension", loss, agreed and same and entropy < limits.peaked_below * most, numbers)


def _first(views: Mapping[str, Tensor], max_images: int) -> Tensor:
    return next(iter(views.values()))[:max_images].float()


def _relative_std(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1).std(dim=0, correction=0).mean() * x.shape[1] ** 0.5


def _scatter(x: Tensor) -> Tensor:
    """The smaller Gram matrix of centred rows: it has the covariance's non-zero eigenvalues, but for a factor."""
    x = x - x.mean(dim=0)
    return x @ x.T if x.shape[0] < x.shape[1] else x.T @ x


def _effective_rank(scatter: Tensor) -> float:
    """exp(-sum p log p) of a flattened scatter matrix's eigenvalues p, made to sum to 1; 1 if all are zero."""
    side = math.isqrt(scatter.numel())
    values = torch.linalg.eigvalsh(scatter.view(side, side)).clamp_min(0)
    # rounding must not put it below 1, its smallest value
    return max(1.0, float(torch.special.entr(values / values.sum().clamp_min(1e-300)).sum().exp()))
