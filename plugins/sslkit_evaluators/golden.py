"""What the reference DINO's evaluators computed, against this set's own parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from sslkit.parts import ImageFiles
from sslkit.testing import Agreement, agreement
from sslkit_evaluators.golden_backbone import backbone_rows
from sslkit_evaluators.knn_vote import knn_hits
from sslkit_evaluators.ranked_lists import average_precision, judge_rankings
from sslkit_evaluators.retrieval import ranking, retrieval_metrics
from sslkit_evaluators.revisited import Revisited

Golden = Mapping[str, np.ndarray]


def evaluator_rows(golden: Golden) -> list[Agreement]:
    """One row for each quantity of an evaluator that the file has.

    Raises:
        UserError: if the file's backbone cannot be built.
    """
    rows = _knn(golden) if "knn/k" in golden else []
    if "retrieval/database" in golden:
        rows += _retrieval(golden)
    rows += _average_precisions(golden)
    if "backbone/cls_token" in golden:
        rows += backbone_rows(golden)
    return rows


def _knn(golden: Golden) -> list[Agreement]:
    bank, labels, queries, right = (
        torch.from_numpy(golden[f"knn/{key}"]) for key in ("train_x", "train_y", "test_x", "test_y")
    )
    ks = golden["knn/k"].tolist()
    found = knn_hits(bank, labels, queries, right, ks=ks, temperature=0.07, chunk=64)
    return [agreement(f"k-NN: top 1 and top 5 at k = {ks}", np.array([found[k] for k in ks]), golden["knn/top1_top5"])]


def _retrieval(golden: Golden) -> list[Agreement]:
    columns = {key: _lists(golden, f"retrieval/{key}") for key in ("easy", "hard", "junk")}
    truth = Revisited(ImageFiles(()), ImageFiles(()), (), **columns)
    known, asked = (torch.from_numpy(golden[f"retrieval/{key}"]) for key in ("database", "queries"))
    found, order = retrieval_metrics(known, asked, truth), ranking(known, asked)
    rows = []
    for protocol, wanted in (("M", truth.medium_wanted()), ("H", truth.hard_wanted())):
        each = judge_rankings(order, wanted).average_precisions
        precisions = np.array([found[f"mP{cut}_{protocol}"] for cut in (1, 5, 10)])
        mean = np.array(found[f"mAP_{protocol}"])
        rows += [
            agreement(f"retrieval: mAP {protocol}", mean / 100, golden[f"retrieval/mAP_{protocol}"]),
            agreement(f"retrieval: AP {protocol} of every query", each, golden[f"retrieval/AP_{protocol}"]),
            agreement(f"retrieval: mP {protocol} at 1, 5, 10", precisions / 100, golden[f"retrieval/mP_{protocol}"]),
        ]
    return rows


def _average_precisions(golden: Golden) -> list[Agreement]:
    rows = []
    for key in sorted(key for key in golden if key.startswith("copy/ap") and key.endswith("/value")):
        case = key.removesuffix("/value")
        found = average_precision(golden[f"{case}/ranks"], int(golden[f"{case}/positives"]))
        rows.append(agreement(f"copy detection: average precision {case[7:]}", np.array(found), golden[key]))
    return rows


def _lists(golden: Golden, key: str) -> tuple[np.ndarray, ...]:
    """Lists of several lengths, which the file holds joined."""
    return tuple(np.split(golden[f"{key}/values"], np.cumsum(golden[f"{key}/lengths"])[:-1]))
