"""Retrieval of landmarks: the revisited Oxford and Paris benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Backbone,
    Dataset,
    Evaluator,
    Features,
    Frozen,
    ImageFiles,
    Metrics,
    PathOption,
    Preprocess,
    user_path,
)
from sslkit_evaluators.image_sizes import Within
from sslkit_evaluators.multiscale import SCALES, PooledFeature
from sslkit_evaluators.ranked_lists import judge_rankings
from sslkit_evaluators.revisited import Revisited, read_revisited

_CUTS = (1, 5, 10)


class Retrieval(Evaluator):
    """Finds images of the same landmark by the cosine of frozen features, as the reference DINO's
    eval_image_retrieval.py does it on the revisited Oxford and Paris data sets (Radenovic et al. 2018).

    Gives ``mAP_M`` and ``mAP_H`` (mean average precision of the protocols Medium and Hard) and ``mP1_M``, ``mP5_M``,
    ``mP10_M``, ``mP1_H`` ... (mean precision at 1, 5 and 10), in percent. Images keep their shape: they are shrunk
    until they fit into ``size`` pixels, one at a time. Brings its own images: no ``--data`` is needed.

    Args:
        root: the folder that holds ``roxford5k/`` or ``rparis6k/``, each with ``gnd_NAME.pkl`` and ``jpg/*.jpg``.
        dataset: which of the two.
        size: longer side in pixels (the paper has 224; 512 finds more).
        multiscale: average the features of three scales, 1, 1/sqrt(2) and 1/2.
        crop_queries: cut the landmark out of the query images, as the benchmark has it; the reference DINO does not.
    """

    def __init__(
        self,
        root: PathOption | None = None,
        dataset: Literal["roxford5k", "rparis6k"] = "roxford5k",
        size: int = 224,
        multiscale: bool = False,
        crop_queries: bool = False,
    ) -> None:
        if size < 1:
            raise UserError(f"size: {size} must be at least 1 pixel")
        self.root, self.dataset, self.size = root, dataset, size
        self.multiscale, self.crop_queries = multiscale, crop_queries

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        self._read()

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        found = self._read()
        known = self._features(frozen, found.database)
        asked = self._features(frozen, found.queries, found.boxes if self.crop_queries else ())
        return Metrics(retrieval_metrics(known.x, asked.x, found))

    def _read(self) -> Revisited:
        if self.root is None:
            raise UserError(f"root: where is {self.dataset}? Give the folder that holds {self.dataset}/gnd_...pkl")
        return read_revisited(user_path(self.root), self.dataset)

    def _features(self, frozen: Frozen, images: ImageFiles, boxes: tuple[tuple[float, ...], ...] = ()) -> Features:
        pooled = PooledFeature(frozen.backbone, SCALES if self.multiscale else SCALES[:1])
        features = frozen.features(images, transform=Within(self.size, boxes), extract=pooled, whole=True)
        if len(features.x) < len(images):
            raise RunError(f"{len(images) - len(features.x)} of the benchmark's {len(images)} images cannot be read")
        return features


def ranking(known: Tensor, asked: Tensor) -> np.ndarray:
    """Indices of the database from the most to the least similar, ``[N, Q]``; see :func:`retrieval_metrics`."""
    similarity = F.normalize(known, dim=1) @ F.normalize(asked, dim=1).T
    return similarity.argsort(dim=0, descending=True, stable=True).cpu().numpy()


def retrieval_metrics(known: Tensor, asked: Tensor, truth: Revisited) -> dict[str, float]:
    """The numbers of :class:`Retrieval`.

    Args:
        known: features of the database ``[N, D]``, of any length.
        asked: features of the queries ``[Q, D]``.
        truth: what is right for each query.
    """
    order = ranking(known, asked)
    values = {}
    for protocol, wanted in (("M", truth.medium_wanted()), ("H", truth.hard_wanted())):
        ranked = judge_rankings(order, wanted, _CUTS)
        values[f"mAP_{protocol}"] = 100 * ranked.mean
        for cut, precision in zip(_CUTS, ranked.precisions, strict=True):
            values[f"mP{cut}_{protocol}"] = 100 * precision
    return {key: values[key] for key in sorted(values, key=lambda key: not key.startswith("mAP"))}
