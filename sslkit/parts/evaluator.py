"""The contract of an evaluator."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from sslkit.parts.answers import Answers
from sslkit.parts.backbone import Backbone
from sslkit.parts.bands import Picture
from sslkit.parts.classifier import Classifier
from sslkit.parts.dataset import Dataset, Images
from sslkit.parts.preprocess import Preprocess


@dataclass(frozen=True)
class Features:
    """Frozen features of a split.

    Attributes:
        x: ``[N, D]`` float32, in the order of ``indices``.
        labels: ``[N]`` int64, or None without labels.
        indices: ``[N]`` int64, which images these are (unreadable ones are left out and listed).
    """

    x: Tensor
    labels: Tensor | None
    indices: Tensor


@dataclass(frozen=True)
class Metrics:
    """What an evaluator found.

    Attributes:
        values: flat numbers; shares in percent (``{"k20_top1": 97.7}``). The first is the headline, which
            closing tables show. A value ``raw_pixels_M`` is what raw pixels reach at ``M``.
        artifacts: files that it wrote below its ``out_dir``.
        answers: for accuracies, by the names of their values: which test images were classified correctly. Tables
            then show 95% intervals, and whether differences are beyond noise. Optional.
        classifier: what it trained, if that is to be kept: the engine writes it to the evaluator's folder, and
            ``sslkit predict`` applies it.
    """

    values: Mapping[str, float]
    artifacts: tuple[Path, ...] = field(default_factory=tuple)
    answers: Mapping[str, Answers] = field(default_factory=dict)
    classifier: Classifier | None = None


class Frozen(ABC):
    """A frozen backbone with everything that is needed to run it over a data set.

    Attributes:
        backbone: in eval mode, without gradients, on ``device``.
        preprocess: how a whole image becomes the backbone's input.
        device: where the backbone is.
        seed: for whatever an evaluator draws; equal on all ranks.
    """

    backbone: Backbone
    preprocess: Preprocess
    device: torch.device
    seed: int

    @abstractmethod
    def features(
        self,
        images: Images,
        *,
        transform: Callable[[Picture, int], Picture] | None = None,
        extract: Callable[[Tensor], Tensor] | None = None,
        whole: bool = False,
    ) -> Features:
        """Features of every readable image, computed in chunks over all ranks and whole on each of them.

        Args:
            images: a split.
            transform: applied to each PIL image (:class:`sslkit.parts.Bands` where there are neither 3 channels nor
                1) before preprocessing, with the image's index (key any randomness by it); it runs in worker
                processes, so it must pickle.
            extract: what to compute of a normalised batch ``[B, C, H, W] -> [B, D]``; by default the
                backbone's pooled feature.
            whole: images go in one at a time and in their own size, as ``transform`` leaves them: neither resized nor
                cropped (see :func:`sslkit.parts.whole_patches` for sides that the backbone's ``stride`` does not
                divide; without ``extract`` it is done).
        """

    @abstractmethod
    def batch(self, images: Images, indices: list[int], size: int | None = None) -> Tensor:
        """These images, preprocessed and normalised: ``[B, C, size, size]`` on the device.

        Args:
            images: a split.
            indices: which of its images.
            size: side in pixels, resized from the file; by default ``preprocess.size``.

        Raises:
            OSError: if one of them cannot be read.
        """

    @abstractmethod
    def image(self, images: Images, index: int, transform: Callable[[Picture, int], Picture] | None = None) -> Tensor:
        """One image in its own size, normalised: ``[1, C, H, W]`` on the device.

        Args:
            images: a split.
            index: which of its images.
            transform: applied to the PIL image first; afterwards nothing is resized, and only what the backbone's
                ``stride`` leaves over at the right and at the bottom is cut off.

        Raises:
            OSError: if it cannot be read.
        """


class Evaluator(ABC):
    """Judges a frozen backbone.

    The same evaluators run during ``fit`` (recipe section ``evaluate``), and alone by ``sslkit eval``.

    Attributes:
        needs: what must be there, any of ``"labels"``, ``"test"`` (a test split) and the backbone's
            capabilities. Where one is missing, the evaluator is skipped and the run says why.
        trains_classifier: whether its :class:`Metrics` have a classifier.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    trains_classifier: ClassVar[bool] = False

    @classmethod
    def in_words(cls, metric: str) -> str:
        """A metric's name in tables, sentences and legends, such as ``k-NN top-1 (k = 20)`` for ``k20_top1``.

        By default the class's name and the metric's, as words: ``linear cached top-1``.
        """
        owner = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
        what = re.sub(r"\btop(?=[0-9])", "top-", metric.replace("_", " "))
        return f"{owner} {what}"

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:  # noqa: B027
        """Whether the options fit backbone, images and data; called before training, where ``needs`` are met.

        Raises:
            UserError: what does not fit, and what would.
        """

    @abstractmethod
    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """Numbers and pictures.

        Called on every rank with the same arguments; :meth:`Frozen.features` gives all ranks the same
        features, so what follows needs no communication.

        Args:
            frozen: the backbone and how to run it.
            data: the evaluation data.
            out_dir: an existing folder for artifacts, this evaluator's own (on ranks other than the
                first, a temporary one that is thrown away).
        """
