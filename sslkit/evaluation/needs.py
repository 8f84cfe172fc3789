"""Says why an evaluator cannot run on a net and its data, and what would help."""

from __future__ import annotations

from collections.abc import Mapping

from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset, Images
from sslkit.parts.evaluator import Evaluator
from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.model import EvaluateSpec


def missing(evaluator: Evaluator, backbone: Backbone, data: Dataset) -> str | None:
    """What an evaluator needs and does not get, as one sentence; None if all is there."""
    if evaluator.needs & {"labels", "test"}:
        lacking_data = _missing_data(evaluator, data)
        if lacking_data is not None:
            return lacking_data
    lacking = sorted(evaluator.needs - {"labels", "test"} - backbone.capabilities)
    if lacking:
        given = ", ".join(sorted(backbone.capabilities)) or "none"
        return (
            f"it needs the capability {' and '.join(lacking)} and the backbone {type(backbone).__name__} "
            f"does not have it (it has: {given}): choose a backbone that has, such as a ViT"
        )
    return None


def _missing_data(evaluator: Evaluator, data: Dataset) -> str | None:
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
    return None


def check_evaluators(
    evaluators: Mapping[str, Evaluator],
    specs: Mapping[str, EvaluateSpec],
    backbone: Backbone,
    preprocess: Preprocess,
    data: Dataset,
) -> dict[str, str]:
    """Let every evaluator that can run look over its options, before hours are spent.

    Returns:
        why those that cannot run will be skipped, by id.

    Raises:
        UserError: what an evaluator says, with the place of its option.
    """
    skipped: dict[str, str] = {}
    for key, evaluator in evaluators.items():
        reason = missing(evaluator, backbone, data)
        if reason is not None:
            skipped[key] = reason
            continue
        try:
            evaluator.check(backbone, preprocess, data)
        except UserError as error:
            raise UserError(specs[key].part.located(str(error))) from error
    return skipped


def _labelled(images: Images) -> bool:
    return images.label(0) is not None
