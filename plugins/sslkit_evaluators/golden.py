"""What the reference DINO's evaluators computed, against this set's own parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch

from sslkit.parts import ImageFiles
from sslkit.testing import Sheet
from sslkit_evaluators.golden_backbone import compare_backbone
from sslkit_evaluators.knn_vote import knn_hits
from sslkit_evaluators.ranked_lists import average_precision, judge_rankings
from sslkit_evaluators.retrieval import ranking, retrieval_metrics
from sslkit_evaluators.revisited import Revisited

Golden = Mapping[str, np.ndarray]


def compare_evaluators(sheet: Sheet) -> None:
    """Compare every quantity of an evaluator that the file has inputs for.

    Raises:
        UserError: if the file's backbone cannot be built.
    """
    golden = sheet.golden
    if "knn/k" in golden:
        _knn(sheet)
    if "retrieval/database" in golden:
        _retrieval(sheet)
    _average_precisions(sheet)
    if "backbone/cls_token" in golden:
        compare_backbone(sheet)


def _knn(sheet: Sheet) -> None:
    bank, labels, queries, right = (
        torch.from_numpy(sheet.golden[f"knn/{key}"]) for key in ("train_x", "train_y", "test_x", "test_y")
    )
    ks = sheet.golden["knn/k"].tolist()
    found = knn_hits(bank, labels, queries, right, ks=ks, temperature=0.07, chunk=64)
    sheet.compare(f"k-NN: top 1 and top 5 at k = {ks}", np.array([found[k] for k in ks]), "knn/top1_top5")


def _retrieval(sheet: Sheet) -> None:
    golden = sheet.golden
    columns = {key: _lists(golden, f"retrieval/{key}") for key in ("easy", "hard", "junk")}
    truth = Revisited(ImageFiles(()), ImageFiles(()), (), **columns)
    known, asked = (torch.from_numpy(golden[f"retrieval/{key}"]) for key in ("database", "queries"))
    found, order = retrieval_metrics(known, asked, truth), ranking(known, asked)
    for protocol, wanted in (("M", truth.medium_wanted()), ("H", truth.hard_wanted())):
        each = judge_rankings(order, wanted).average_precisions
        precisions = np.array([found[f"mP{cut}_{protocol}"] for cut in (1, 5, 10)])
        mean = np.array(found[f"mAP_{protocol}"])
        sheet.compare(f"retrieval: mAP {protocol}", mean / 100, f"retrieval/mAP_{protocol}")
        sheet.compare(f"retrieval: AP {protocol} of every query", each, f"retrieval/AP_{protocol}")
        sheet.compare(f"retrieval: mP {protocol} at 1, 5, 10", precisions / 100, f"retrieval/mP_{protocol}")


def _average_precisions(sheet: Sheet) -> None:
    golden = sheet.golden
    for case in sorted(key.removesuffix("/ranks") for key in golden if re.fullmatch(r"copy/ap.*/ranks", key)):
        found = average_precision(golden[f"{case}/ranks"], int(golden[f"{case}/positives"]))
        sheet.compare(f"copy detection: average precision {case[7:]}", np.array(found), f"{case}/value")


def _lists(golden: Golden, key: str) -> tuple[np.ndarray, ...]:
    """Lists of several lengths, which the file holds joined."""
    return tuple(np.split(golden[f"{key}/values"], np.cumsum(golden[f"{key}/lengths"])[:-1]))
