"""Evaluators: everything by which a frozen backbone is judged. Free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sslkit

if TYPE_CHECKING:
    from sslkit.plugins.registry import Registrar


@sslkit.hookimpl
def sslkit_register(registry: Registrar) -> None:
    """Name the evaluators."""
    registry.evaluator("knn", "sslkit_evaluators.knn:KNN")
    registry.evaluator("knn_instance", "sslkit_evaluators.knn_instance:KNNInstance")
    registry.evaluator("linear", "sslkit_evaluators.linear:Linear")
    registry.evaluator("linear_cached", "sslkit_evaluators.linear_cached:LinearCached")
    registry.evaluator("spectrum", "sslkit_evaluators.spectrum:Spectrum")
    registry.evaluator("attention", "sslkit_evaluators.attention:Attention")
    registry.evaluator("lowshot", "sslkit_evaluators.lowshot:LowShot")
    registry.evaluator("finetune", "sslkit_evaluators.finetune:FineTune")
    registry.evaluator("retrieval", "sslkit_evaluators.retrieval:Retrieval")
    registry.evaluator("copy_detection", "sslkit_evaluators.copy_detection:CopyDetection")
    registry.evaluator("video_segmentation", "sslkit_evaluators.video_segmentation:VideoSegmentation")
    registry.evaluator("segmentation", "sslkit_evaluators.segmentation:Segmentation")
