"""Says why an evaluator cannot run on a net and its data, and what would help."""

from __future__ import annotations

from collections.abc import Mapping

from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset, Images
from sslkit.parts.evaluator import Evaluator
from sslkit.parts.preprocess import Preprocess


def missing(evaluator: Evaluator, backbone: Backbone, data: Dataset) -> str | None:
    """What an evaluator needs and does not get, as one sentence; None if all is there."""
    train, test = data.split("train"), data.split("test")
    judged = [train] + ([test] if test and "test" in evaluator.needs else [])
    if "labels" in evaluator.needs and not all(images and _labelled(images) for images in judged):
        return (
            "it needs labels and the data has none: "
            "put the images of each class in a folder of its own, or name labelled data as eval_data"
        )
    if "test" in evaluator.needs and not test:
        return (
            "it needs test images and the data has no test split: use a folder with train/ and val/, "
            "set image_folder's test_fraction, or name data that has one as eval_data"
        )
    lacking = sorted(evaluator.needs - {"labels", "test"} - backbone.capabilities)
    if lacking:
        given = ", ".join(sorted(backbone.capabilities)) or "none"
        return (
            f"it needs the capability {' and '.join(lacking)} and the backbone {type(backbone).__name__} "
            f"does not have it (it has: {given}): choose a backbone that has, such as a ViT"
        )
    return None


def check_evaluators(
    evaluators: Mapping[str, Evaluator], backbone: Backbone, preprocess: Preprocess, data: Dataset
) -> None:
    """Let every evaluator that can run look over its options, before hours are spent.

    Raises:
        UserError: what an evaluator says, with its id in front.
    """
    for key, evaluator in evaluators.items():
        if missing(evaluator, backbone, data) is None:
            try:
                evaluator.check(backbone, preprocess, data)
            except UserError as error:
                raise UserError(f"evaluate.{key}: {error}") from error


def _labelled(images: Images) -> bool:
    return images.label(0) is not None
