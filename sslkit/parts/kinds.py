"""The kinds of parts: their contract and the context that the engine hands them. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        name: as in ``registry.loss(...)`` and ``sslkit plugins list``.
        contract: ``module:class`` of the base class that a part of this kind implements.
        context: parameter names of ``__init__`` that the engine fills, never the recipe.
        summary: one line for the lists.
    """

    name: str
    contract: str
    context: frozenset[str]
    summary: str


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("dataset", "sslkit.parts.dataset:Dataset", frozenset(), "where images come from"),
        Kind("augmenter", "sslkit.parts.augmenter:Augmenter", frozenset({"channels"}), "an image's augmented views"),
        Kind("backbone", "sslkit.parts.backbone:Backbone", frozenset({"channels", "image_size"}), "images to features"),
        Kind("head", "sslkit.parts.head:Head", frozenset({"in_dim", "classes"}), "features to projections"),
        Kind(
            "loss",
            "sslkit.parts.loss:Loss",
            frozenset({"out_dim", "teacher_out_dim", "views", "prediction_dim", "predict"}),
            "what is minimised",
        ),
        Kind("teacher", "sslkit.parts.teacher:TeacherRule", frozenset(), "how the teacher follows the student"),
        Kind("optimizer", "sslkit.parts.optimizer:OptimizerPart", frozenset(), "how weights move"),
        Kind("schedule", "sslkit.parts.schedule:Schedule", frozenset(), "a number for every step"),
        Kind("clip", "sslkit.parts.clip:Clip", frozenset(), "how gradients are bounded"),
        Kind("evaluator", "sslkit.parts.evaluator:Evaluator", frozenset(), "how a frozen backbone is judged"),
        Kind("watcher", "sslkit.parts.watcher:Watcher", frozenset(), "what follows a run: logs, displays, monitors"),
    )
}
