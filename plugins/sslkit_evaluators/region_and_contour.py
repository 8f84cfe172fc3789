"""The two measures of DAVIS: how well a mask's region (J) and its contour (F) agree with what is right."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F


def region_similarity(found: np.ndarray, right: np.ndarray) -> float:
    """J, the intersection over the union of two masks; 1 if both are empty (Perazzi et al. 2016, section 3.2).

    Args:
        found: bool ``[H, W]``.
        right: bool ``[H, W]``.
    """
    union = int((found | right).sum())
    return float((found & right).sum() / union) if union else 1.0


def contour_accuracy(found: np.ndarray, right: np.ndarray, tolerance: float = 0.008) -> float:
    """F, the harmonic mean of precision and recall of a mask's contour (Perazzi et al. 2016, section 3.2).

    A pixel of a contour is right if the other contour is within a disk around it: the official toolkit's
    approximation of matching the two one to one.

    Args:
        found: bool ``[H, W]``.
        right: bool ``[H, W]``.
        tolerance: radius of the disk as a share of the diagonal, rounded up to whole pixels.
    """
    reach = math.ceil(tolerance * math.hypot(*right.shape))
    ours, theirs = _contour(found), _contour(right)
    if not ours.any() and not theirs.any():
        return 1.0
    if not ours.any() or not theirs.any():
        return 0.0  # one of precision and recall is 1, the other 0
    precision = (ours & _within(theirs, reach)).sum() / ours.sum()
    recall = (theirs & _within(ours, reach)).sum() / theirs.sum()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def _contour(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or right below; outside the image all goes on."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    changed = (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
    return np.asarray(changed)


def _within(contour: np.ndarray, reach: int) -> np.ndarray:
    """Pixels at most ``reach`` pixels from the contour."""
    offsets = torch.arange(-reach, reach + 1)
    disk = (offsets[:, None].square() + offsets.square() <= reach**2).float()
    counts = F.conv2d(torch.from_numpy(contour).float()[None, None], disk[None, None], padding=reach)[0, 0]
    return (counts > 0.5).numpy()


def over_frames(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, recall and decay of a measure over the frames of an object (Perazzi et al. 2016, section 3.3).

    Args:
        values: ``[T]``, in 0..1.

    Returns:
        the mean; the share of frames above 0.5; how much better the first quarter of frames is than the last.
    """
    # as in the official toolkit: quarters share their end frames
    ends = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[ends[0] : ends[1] + 1], values[ends[3] : ends[4] + 1]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())
