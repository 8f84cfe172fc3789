"""Whether an augmented view of an image finds that image: a look at invariance that needs no labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.errors import RunError, UserError
from sslkit.parts import Dataset, Evaluator, Features, Frozen, Images, Metrics, generator
from sslkit_evaluators.instance_view import InstanceView
from sslkit_evaluators.random_crop import check_scale
from sslkit_evaluators.subset import Some

#: Queries at a time.
_CHUNK = 1024
_TOPS = (1, 5)


class KNNInstance(Evaluator):
    """Nearest neighbours by instance: of every image an augmented view (cropped, mirrored, tinted) is a query, and it
    is right if the whole image it comes from is the nearest of all by cosine. Needs no labels. Looks at the test
    split, or at the train split where there is no other.

    Gives ``top1`` and ``top5`` in percent: the share of queries whose image is the nearest, or among the five nearest.
    Chance is 100 / images. An image that is as near as the right one counts as nearer, so that features which are all
    alike find nothing; an exact copy in the data is a miss. The views resemble the augmentation of the training: the
    numbers tell how invariant the features are while they still tell images apart, and not how well they tell classes
    apart.

    Args:
        max_images: at most this many images, the first of a permutation that depends on the seed; fewer are easier.
        scale: share of the area that a view keeps, least and largest.
        flip: probability that a view is mirrored left and right.
        colour: factors of brightness, contrast and saturation are drawn from 1 - colour to 1 + colour; 0: off.
        raw_pixels: also judge the preprocessed pixels themselves as features (``raw_pixels_top1``).
    """

    def __init__(
        self,
        max_images: int = 1000,
        scale: tuple[float, float] = (0.3, 1.0),
        flip: float = 0.5,
        colour: float = 0.4,
        raw_pixels: bool = False,
    ) -> None:
        if max_images < 2:
            raise UserError(f"max_images: {max_images} must be at least 2")
        if not check_scale(scale):
            raise UserError(f"scale: {list(scale)} must be two shares of the area, 0 < least <= largest <= 1")
        for key, value in (("flip", flip), ("colour", colour)):
            if not 0 <= value <= 1:
                raise UserError(f"{key}: {value} must be from 0 to 1")
        self.max_images, self.scale, self.flip, self.colour = max_images, scale, flip, colour
        self.raw_pixels = raw_pixels

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        return f"images found by a changed view, {metric.replace('top', 'top-')}"

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        images = data.split("test") or data.split("train")
        if images is None:
            raise RunError("the data has no images")
        if len(images) > self.max_images:
            order = generator("knn_instance", frozen.seed).permutation(len(images))
            images = Some(images, sorted(order[: self.max_images].tolist()))
        values = self._shares(frozen, images, None, "")
        if self.raw_pixels:
            values |= self._shares(frozen, images, _pixels, "raw_pixels_")
        return Metrics(values)

    def _shares(
        self, frozen: Frozen, images: Images, extract: Callable[[Tensor], Tensor] | None, prefix: str
    ) -> dict[str, float]:
        short = frozen.preprocess.resize or frozen.preprocess.size
        view = InstanceView(self.scale, self.flip, self.colour, short, frozen.seed)
        known = frozen.features(images, extract=extract)
        asked = frozen.features(images, transform=view, extract=extract)
        places = instance_places(known, asked)
        if len(known.x) < 2 or not len(places):
            raise RunError(f"finding an image among others needs two, and {len(known.x)} could be read")
        return {f"{prefix}top{top}": float((places < top).double().mean() * 100) for top in _TOPS}


def instance_places(known: Features, asked: Features) -> Tensor:
    """How many images are as near to each query as its own, or nearer: ``[Q]`` int64, 0 where its own is the nearest.

    Args:
        known: features of whole images ``[N, D]``, of any length.
        asked: features of views of the same images ``[Q, D]``; one whose image is not in ``known`` is left out.
    """
    there = torch.isin(asked.indices, known.indices)
    x, bank = F.normalize(asked.x[there.to(asked.x.device)], dim=1), F.normalize(known.x, dim=1)
    places = []
    for rows, indices in zip(x.split(_CHUNK), asked.indices[there].split(_CHUNK), strict=True):
        similarity = rows @ bank.T
        mine = (indices[:, None] == known.indices[None]).to(rows.device)
        right = similarity[mine][:, None]
        places.append(((similarity >= right) & ~mine).sum(dim=1))
    return torch.cat(places) if places else torch.zeros(0, dtype=torch.int64)


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1)
