"""Copies of images, found again: the Copydays benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import Backbone, Dataset, Evaluator, Frozen, ImageFiles, Metrics, PathOption, Preprocess, user_path
from sslkit_evaluators.copydays import Copydays, images_in, read_copydays
from sslkit_evaluators.image_sizes import Square
from sslkit_evaluators.patch_grid import check_whole_patches
from sslkit_evaluators.ranked_lists import average_precision
from sslkit_evaluators.whitening import learn_whitening

#: Ranks that count: what is found later counts as not found (the reference looks at the first 20).
_TOP = 20


@dataclass(frozen=True)
class CopyFeature:
    """The [CLS] token, and the generalised mean of the patch tokens beside it: ``[B, C, H, W] -> [B, 2D]``.

    Attributes:
        backbone: a frozen one with patch tokens.
        power: of the generalised mean (Radenovic et al. 2018, GeM): 1 is the mean, infinity the largest.
    """

    backbone: Backbone
    power: float = 4.0

    def __call__(self, images: Tensor) -> Tensor:
        tokens = self.backbone(images, patches=True)
        if tokens.patches is None:
            raise RunError("the backbone gave no patch tokens although they were asked for")
        # 1e-6 as in the reference: negative numbers have no such mean
        pooled = tokens.patches.float().clamp_min(1e-6).pow(self.power).mean(dim=1).pow(1 / self.power)
        return torch.cat([tokens.cls.float(), pooled], dim=1)


class CopyDetection(Evaluator):
    """Finds the original of a copied image (cropped, compressed, or strongly altered) by the cosine of frozen
    features, as the reference DINO's eval_copy_detection.py does it on Copydays (Douze et al. 2009).

    Gives ``mAP_strong`` and the mean average precision of every other folder that is there (``mAP_jpegqual-3``,
    ``mAP_crops-80``, ...), in percent; ranks beyond 20 count as not found. Features are the [CLS] token with the
    generalised mean of the patch tokens. Brings its own images: no ``--data`` is needed. Needs the capability
    ``patches``.

    Args:
        root: the folder with ``original/*.jpg``, ``strong/*.jpg``, ``jpegqual/3/*.jpg`` ..., ``crops/10/*.jpg`` ...
        distractors: a folder of ``.jpg`` images that are searched too (the paper: 10 000 of YFCC100M); null: none.
        whitening: a folder of ``.jpg`` images that the whitening of features is learned from (the paper: 20 000 of
            YFCC100M); null: no whitening.
        whitening_dims: how many principal components are kept; null: all, as in the reference.
        size: images are resized to this square, whatever their shape, in pixels.
        gem_power: of the generalised mean of the patch tokens.
    """

    needs = frozenset({"patches"})

    def __init__(
        self,
        root: PathOption | None = None,
        distractors: PathOption | None = None,
        whitening: PathOption | None = None,
        whitening_dims: int | None = None,
        size: int = 320,
        gem_power: float = 4.0,
    ) -> None:
        if size < 1:
            raise UserError(f"size: {size} must be at least 1 pixel")
        if whitening_dims is not None and whitening_dims < 1:
            raise UserError(f"whitening_dims: {whitening_dims} must be at least 1, or null")
        if not gem_power > 0:
            raise UserError(f"gem_power: {gem_power} must be more than 0")
        self.root, self.distractors, self.whitening = root, distractors, whitening
        self.whitening_dims, self.size, self.gem_power = whitening_dims, size, gem_power

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        check_whole_patches(self.size, backbone.stride)
        self._read()
        for option, folder in (("distractors", self.distractors), ("whitening", self.whitening)):
            _more_images(option, folder)

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        found = self._read()
        blocks = {name: self._all_features(frozen, list(paths)) for name, paths in found.blocks.items()}
        database = torch.cat(
            [
                self._all_features(frozen, list(found.originals)),
                *(self._features(frozen, paths) for paths in [_more_images("distractors", self.distractors)] if paths),
            ]
        )
        if self.whitening is not None:
            whiten = learn_whitening(
                self._features(frozen, _more_images("whitening", self.whitening)), dims=self.whitening_dims
            )
            database = whiten(database)
            blocks = {name: whiten(x) for name, x in blocks.items()}
        values = {
            f"mAP_{name.replace('/', '-')}": 100 * mean_average_precision(x, database, found.right[name])
            for name, x in blocks.items()
        }
        # the first is the headline: originals find themselves, and say the least
        order = sorted(values, key=lambda key: (key == "mAP_original", key != "mAP_strong"))
        return Metrics({key: values[key] for key in order})

    def _read(self) -> Copydays:
        if self.root is None:
            raise UserError("root: where is Copydays? Give the folder with original/, strong/, jpegqual/ and crops/")
        return read_copydays(user_path(self.root))

    def _features(self, frozen: Frozen, paths: list[Path]) -> Tensor:
        """Of those that can be read; the runner lists the others."""
        feature = CopyFeature(frozen.backbone, self.gem_power)
        return frozen.features(ImageFiles(paths), transform=Square(self.size), extract=feature, whole=True).x

    def _all_features(self, frozen: Frozen, paths: list[Path]) -> Tensor:
        """Of images whose place in the list says what is a copy of what."""
        x = self._features(frozen, paths)
        if len(x) < len(paths):
            raise RunError(f"{len(paths) - len(x)} of {len(paths)} images in {paths[0].parent} cannot be read")
        return x


def mean_average_precision(asked: Tensor, known: Tensor, right: tuple[tuple[int, ...], ...]) -> float:
    """Mean average precision of rankings by cosine, in 0..1.

    Args:
        asked: features of the copies ``[Q, D]``, of any length.
        known: features of what is searched ``[N, D]``.
        right: for each copy the indices of its originals.
    """
    similarity = F.normalize(asked, dim=1) @ F.normalize(known, dim=1).T
    order = similarity.argsort(dim=1, descending=True, stable=True)[:, :_TOP].cpu()
    total = 0.0
    for ranking, wanted in zip(order, right, strict=True):
        ranks = torch.isin(ranking, torch.tensor(wanted)).nonzero()[:, 0].tolist()
        total += average_precision(ranks, len(wanted))
    return total / len(right)


def _more_images(option: str, folder: str | None) -> list[Path]:
    if folder is None:
        return []
    paths = list(images_in(user_path(folder)))
    if not paths:
        raise UserError(f"{option}: {folder} holds no images")
    return paths
