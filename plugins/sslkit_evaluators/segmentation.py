"""How well attention finds objects: Jaccard index against segmentation masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Backbone,
    Dataset,
    Evaluator,
    Frozen,
    ImageFiles,
    Metrics,
    PathOption,
    Preprocess,
    gather_items,
    rank,
    user_path,
    world_size,
)
from sslkit_evaluators.attention import cls_attention, mass_masks, pixels
from sslkit_evaluators.attention_picture import attention_picture
from sslkit_evaluators.gathered_files import png, write_gathered
from sslkit_evaluators.index_masks import read_index_mask
from sslkit_evaluators.patch_grid import WholePatches
from sslkit_evaluators.voc import read_voc

#: VOC's number for pixels at the edge of objects, which nobody judges.
_VOID = 255


class Segmentation(Evaluator):
    """The Jaccard index (intersection over union) of the [CLS] token's attention masks with the objects of
    segmentation data (Caron et al. 2021, section 4.2.2 and figure 4, on PASCAL VOC 2012).

    A mask is the smallest set of patches that hold ``mass`` of a head's attention. Gives, in percent, ``jaccard``: the
    best head of each image, chosen with the right mask, as the paper has it; ``jaccard_one_head``: the head that is
    best over all images; ``best_head``: which; and ``jaccard_whole_image``: what the whole image as a mask reaches,
    which any map has to beat. All objects of an image count as one; void pixels (255) and images without objects do
    not count. Writes pictures of the first images. Brings its own images: no ``--data`` is needed. Needs the capability
    ``attention``.

    Args:
        root: the folder with ``JPEGImages/``, ``SegmentationClass/`` and ``ImageSets/Segmentation/``.
        subset: the list ``ImageSets/Segmentation/SUBSET.txt``.
        size: short side that images are resized to in pixels, rounded to whole patches; null: as they are.
        mass: share of the attention that a mask holds.
        pictures: how many.
    """

    needs = frozenset({"attention"})

    def __init__(
        self,
        root: PathOption | None = None,
        subset: str = "val",
        size: int | None = 480,
        mass: float = 0.6,
        pictures: int = 8,
    ) -> None:
        if size is not None and size < 1:
            raise UserError(f"size: {size} must be at least 1 pixel, or null")
        if not 0 < mass < 1:
            raise UserError(f"mass: {mass} must be between 0 and 1")
        if pictures < 0:
            raise UserError(f"pictures: {pictures} must be at least 0")
        self.root, self.subset, self.size, self.mass, self.pictures = root, subset, size, mass, pictures

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        self._read()

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        paths, masks = self._read()
        images, files, rows = ImageFiles(paths), [], []
        for index in range(rank(), len(images), world_size()):
            mask = read_index_mask(masks[index])
            try:
                image = frozen.image(images, index, WholePatches(self.size, frozen.backbone.stride))
            except OSError:
                # the runner lists it among the images that could not be read
                continue
            maps = cls_attention(frozen.backbone.attention(image), image.shape[2:], frozen.backbone.stride)[0]
            found = mass_masks(maps, self.mass)
            if (row := jaccard_of_heads(found, mask)) is not None:
                rows.append((index, row))
            if index < self.pictures:
                shown = pixels(image[0], frozen)
                picture = attention_picture(shown, maps.cpu(), found.cpu(), paths[index].name, self.mass)
                files.append((f"{paths[index].stem}.png", png(picture)))
        artifacts = write_gathered(out_dir, files)
        return Metrics(jaccard_metrics([row for _, row in sorted(gather_items(rows))]), artifacts)

    def _read(self) -> tuple[list[Path], list[Path]]:
        if self.root is None:
            raise UserError("root: where is VOC? Give the folder with JPEGImages/, SegmentationClass/ and ImageSets/")
        return read_voc(user_path(self.root), self.subset)


def jaccard_of_heads(found: Tensor, mask: np.ndarray) -> list[float] | None:
    """The Jaccard index of each head's mask, and that of the whole image behind them, in 0..1; None without objects.

    Args:
        found: bool ``[heads, h, w]``, over the same image in patches.
        mask: uint8 ``[H, W]``: 0 is none, 255 does not count, all else is an object.
    """
    right = torch.from_numpy((mask > 0) & (mask != _VOID))
    if not right.any():
        return None
    enlarged = F.interpolate(found[None].float().cpu(), size=right.shape, mode="nearest-exact")[0] > 0.5
    judged = torch.cat([enlarged, torch.ones_like(right)[None]]) & torch.from_numpy(mask != _VOID)
    shares = (judged & right).sum(dim=(1, 2)) / (judged | right).sum(dim=(1, 2))
    return [float(share) for share in shares]


def jaccard_metrics(rows: list[list[float]]) -> dict[str, float]:
    """The numbers of :class:`Segmentation`, from what :func:`jaccard_of_heads` gave for each image."""
    if not rows:
        raise RunError("no image with an object could be read")
    table = 100 * np.array(rows)
    heads = table[:, :-1].mean(axis=0)
    return {
        "jaccard": float(table[:, :-1].max(axis=1).mean()),
        "jaccard_one_head": float(heads.max()),
        "best_head": float(heads.argmax()),
        "jaccard_whole_image": float(table[:, -1].mean()),
    }
