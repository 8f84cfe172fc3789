"""What the reference DINO's evaluators computed, against this set's own parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from sslkit.testing import Agreement, agreement
from sslkit_evaluators.knn_vote import knn_hits

Golden = Mapping[str, np.ndarray]


def evaluator_rows(golden: Golden) -> list[Agreement]:
    """One row for each quantity of an evaluator that the file has."""
    return _knn(golden) if "knn/k" in golden else []


def _knn(golden: Golden) -> list[Agreement]:
    bank, labels, queries, right = (
        torch.from_numpy(golden[f"knn/{key}"]) for key in ("train_x", "train_y", "test_x", "test_y")
    )
    ks = golden["knn/k"].tolist()
    found = knn_hits(bank, labels, queries, right, ks=ks, temperature=0.07, chunk=64)
    return [agreement(f"k-NN: top 1 and top 5 at k = {ks}", np.array([found[k] for k in ks]), golden["knn/top1_top5"])]
