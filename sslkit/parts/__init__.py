"""The contracts that parts implement; imported lazily, so that naming parts costs no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslkit.parts.answers import Answers
    from sslkit.parts.augmenter import Augmenter, Draws
    from sslkit.parts.backbone import Backbone, Tokens, whole_patches
    from sslkit.parts.bands import Axis, Bands, Picture, channels_first
    from sslkit.parts.clip import Clip
    from sslkit.parts.collectives import (
        gather_items,
        gather_with_gradient,
        logsumexp_over_ranks,
        mean_over_ranks,
        rank,
        sum_with_gradient,
        world_size,
    )
    from sslkit.parts.dataset import Dataset, Images, Split
    from sslkit.parts.device_views import DeviceViews, WholeImages
    from sslkit.parts.effect import Effect
    from sslkit.parts.evaluator import Evaluator, Features, Frozen, Metrics
    from sslkit.parts.head import Head
    from sslkit.parts.image_file import ImageFiles, file_content, file_stamp, open_image
    from sslkit.parts.ingredients import at_least_float32, common_width, sinkhorn, student_views, view_partners
    from sslkit.parts.loss import Loss, LossTerms
    from sslkit.parts.optimizer import OptimizerPart
    from sslkit.parts.option_checks import check_at_least, check_positive
    from sslkit.parts.outputs import Outputs
    from sslkit.parts.paths import PathOption, user_path
    from sslkit.parts.position import Position
    from sslkit.parts.preprocess import Preprocess
    from sslkit.parts.randomness import generator, keyed_randomness, seed_of
    from sslkit.parts.row_queue import RowQueue
    from sslkit.parts.schedule import Schedule, named
    from sslkit.parts.teacher import TeacherRule, paired_parameters
    from sslkit.parts.terminal import stderr_is_shown, tell
    from sslkit.parts.views import Views, ViewSpec
    from sslkit.parts.watcher import Row, RunInfo, Watcher
    from sslkit.parts.weights import NetWeights, WeightsMisfit, net_weights, read_weights

_HOMES = {
    "answers": ["Answers"],
    "augmenter": ["Augmenter", "Draws"],
    "backbone": ["Backbone", "Tokens", "whole_patches"],
    "bands": ["Axis", "Bands", "Picture", "channels_first"],
    "clip": ["Clip"],
    "collectives": [
        "gather_items",
        "gather_with_gradient",
        "logsumexp_over_ranks",
        "mean_over_ranks",
        "rank",
        "sum_with_gradient",
        "world_size",
    ],
    "dataset": ["Dataset", "Images", "Split"],
    "device_views": ["DeviceViews", "WholeImages"],
    "effect": ["Effect"],
    "evaluator": ["Evaluator", "Features", "Frozen", "Metrics"],
    "head": ["Head"],
    "image_file": ["ImageFiles", "file_content", "file_stamp", "open_image"],
    "ingredients": ["at_least_float32", "common_width", "sinkhorn", "student_views", "view_partners"],
    "loss": ["Loss", "LossTerms"],
    "option_checks": ["check_at_least", "check_positive"],
    "optimizer": ["OptimizerPart"],
    "outputs": ["Outputs"],
    "paths": ["PathOption", "user_path"],
    "position": ["Position"],
    "preprocess": ["Preprocess"],
    "randomness": ["generator", "keyed_randomness", "seed_of"],
    "row_queue": ["RowQueue"],
    "schedule": ["Schedule", "named"],
    "teacher": ["TeacherRule", "paired_parameters"],
    "terminal": ["stderr_is_shown", "tell"],
    "views": ["ViewSpec", "Views"],
    "watcher": ["Row", "RunInfo", "Watcher"],
    "weights": ["NetWeights", "WeightsMisfit", "net_weights", "read_weights"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Answers", "Augmenter", "Axis", "Backbone", "Bands", "Clip", "Dataset", "DeviceViews", "Draws", "Effect",
    "Evaluator", "Features", "Frozen", "Head", "ImageFiles", "Images", "Loss", "LossTerms", "Metrics", "NetWeights",
    "OptimizerPart", "Outputs", "PathOption", "Picture", "Position", "Preprocess", "Row", "RowQueue", "RunInfo",
    "Schedule", "Split", "TeacherRule", "Tokens", "ViewSpec", "Views", "Watcher", "WeightsMisfit", "WholeImages",
    "at_least_float32", "channels_first", "check_at_least", "check_positive", "common_width", "file_content",
    "file_stamp", "gather_items", "gather_with_gradient", "generator", "keyed_randomness", "logsumexp_over_ranks",
    "mean_over_ranks", "named", "net_weights", "open_image", "paired_parameters", "rank", "read_weights", "seed_of",
    "sinkhorn", "stderr_is_shown", "student_views", "sum_with_gradient", "tell", "user_path", "view_partners",
    "whole_patches", "world_size",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"sslkit.parts.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'sslkit.parts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "__doc__", "__file__", "__name__", "__path__"})
