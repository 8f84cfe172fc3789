"""Labels carried from frame to frame by the likeness of patch features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

#: Patches whose labels are computed at a time.
_ROWS = 1024


def propagated(
    features: Iterable[Tensor],
    first: Tensor,
    *,
    last_frames: int = 7,
    neighbourhood: int = 12,
    top: int = 5,
    temperature: float = 0.1,
) -> Iterator[Tensor]:
    """Soft labels of every frame after the first (the reference DINO's eval_video_segmentation.py, label_propagation).

    A patch's labels are the mean of those of the patches most like it in the first frame and in the frames just before,
    weighted by exp(cosine / temperature).

    Args:
        features: patch features ``[h, w, D]`` of every frame, the first one included; taken one by one.
        first: labels of the first frame, ``[C, h, w]`` one-hot.
        last_frames: how many frames before this one are looked at, beside the first.
        neighbourhood: patches further away than this, in rows or in columns, are not looked at; 0: all are.
        top: how many patches, of all these frames together, a label is made of.
        temperature: of the weights.

    Yields:
        ``[C, h, w]``, for the second frame, the third ...
    """
    frames = iter(features)
    known = F.normalize(next(frames), dim=-1)
    near = _neighbours(*known.shape[:2], neighbourhood, known.device)
    before: deque[tuple[Tensor, Tensor]] = deque(maxlen=last_frames)
    for frame in frames:
        here = F.normalize(frame, dim=-1)
        sources, labels = zip((known, first), *before, strict=True)
        bank = torch.stack([source.flatten(0, 1) for source in sources])
        values = torch.cat([label.flatten(1).T for label in labels])
        # a block of rows at a time: all of them at patch 8 and 480 pixels would be several GiB
        soft = torch.cat(
            [
                _weights(queries, bank, None if near is None else near[start : start + _ROWS], top, temperature)
                @ values
                for start, queries in zip(range(0, len(bank[0]), _ROWS), here.flatten(0, 1).split(_ROWS), strict=True)
            ]
        ).T.reshape(first.shape)
        yield soft
        before.append((here, soft))


def _weights(queries: Tensor, bank: Tensor, near: Tensor | None, top: int, temperature: float) -> Tensor:
    """What share each patch of the frames before has in a label.

    Args:
        queries: ``[Q, D]``, of unit length.
        bank: ``[frames, N, D]``, of unit length.
        near: ``[Q, N]``, 1 for patches that are looked at, else 0; None: all are.
        top: how many patches have a share.
        temperature: of the weights.

    Returns:
        ``[Q, frames * N]``, whose rows sum to 1.
    """
    likeness = (torch.einsum("qd,fnd->qfn", queries, bank) / temperature).exp()
    if near is not None:
        likeness = likeness * near[:, None]
    likeness = likeness.flatten(1)
    least = likeness.topk(min(top, likeness.shape[1]), dim=1).values[:, -1:]
    likeness = torch.where(likeness < least, 0.0, likeness)
    return likeness / likeness.sum(dim=1, keepdim=True)


def _neighbours(height: int, width: int, reach: int, device: torch.device) -> Tensor | None:
    """``[h*w, h*w]``: 1 where two patches are near each other, else 0; None if all are looked at."""
    if not reach:
        return None
    rows, columns = ((torch.arange(side)[:, None] - torch.arange(side)).abs() <= reach for side in (height, width))
    return (rows[:, None, :, None] & columns[None, :, None, :]).reshape(height * width, -1).float().to(device)


def labels_in_full(soft: Tensor, patch: int) -> Tensor:
    """The label of every pixel: enlarged bilinearly, each class stretched to 0..1, the largest taken.

    Args:
        soft: ``[C, h, w]``.
        patch: side of a patch in pixels.

    Returns:
        int64 ``[h*patch, w*patch]``.
    """
    enlarged = F.interpolate(soft[None], scale_factor=patch, mode="bilinear", recompute_scale_factor=False)[0]
    lowest, highest = enlarged.amin(dim=(1, 2), keepdim=True), enlarged.amax(dim=(1, 2), keepdim=True)
    # a class that is the same everywhere, mostly nowhere, has nothing to be stretched
    return ((enlarged - lowest) / torch.where(highest > lowest, highest - lowest, 1.0)).argmax(dim=0)
