"""Pictures of what the [CLS] token attends to."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import Backbone, Dataset, Evaluator, Frozen, Images, Metrics, Preprocess
from sslkit_evaluators.attention_picture import attention_picture
from sslkit_evaluators.patch_grid import check_whole_patches


class Attention(Evaluator):
    """What the [CLS] token attends to in the last block, head by head (visualize_attention.py of the reference DINO).

    Writes one PNG for each image, under the name of its file: on top the image and each head's attention over the
    patches, with its scale; below where each head's mask lies: the smallest set of patches that hold ``mass`` of its
    attention.

    Gives ``mean_entropy`` of the heads' attention over the patches in nats (log of the number of patches:
    uniform), and ``mask_share``, the percentage of patches in a mask. Needs a backbone with the capability
    ``attention``.

    Args:
        images: how many, the first of the test split (of the train split where there is no other).
        size: side in pixels that images are resized to, a multiple of the patch; null: as in ``preprocess``.
        mass: share of the attention that a mask holds.
    """

    needs = frozenset({"attention"})

    def __init__(self, images: int = 8, size: int | None = None, mass: float = 0.6) -> None:
        if images < 1:
            raise UserError(f"images: {images} must be at least 1")
        if size is not None and size < 1:
            raise UserError(f"size: {size} must be at least 1 pixel, or null")
        if not 0 < mass < 1:
            raise UserError(f"mass: {mass} must be between 0 and 1")
        self.images, self.size, self.mass = images, size, mass

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        words = {"mean_entropy": "entropy of attention, nats", "mask_share": "patches in an attention mask, %"}
        return words.get(metric, metric)

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        if self.size is not None:
            check_whole_patches(self.size, backbone.stride)

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        self.check(frozen.backbone, frozen.preprocess, data)
        stride = frozen.backbone.stride
        images = data.split("test") or data.split("train")
        batches = self._first_readable(frozen, images) if images else {}
        if not batches:
            raise RunError("no image could be read")
        entropies, shares, files = [], [], []
        for index, batch in batches.items():
            attention = cls_attention(frozen.backbone.attention(batch), batch.shape[2:], stride)[0]
            masks = mass_masks(attention, self.mass)
            entropies.append(torch.special.entr(attention.double()).sum(dim=(1, 2)).mean())
            shares.append(masks.double().mean())
            files.append(out_dir / f"image_{index:05d}.png")
            shown = pixels(batch[0], frozen)
            attention_picture(shown, attention.cpu(), masks.cpu(), images.name(index), self.mass).save(files[-1])
        return Metrics(
            {
                "mean_entropy": float(torch.stack(entropies).mean()),
                "mask_share": float(torch.stack(shares).mean() * 100),
            },
            tuple(files),
        )

    def _first_readable(self, frozen: Frozen, images: Images) -> dict[int, Tensor]:
        """The first images that can be read, each a batch of one, by index."""
        batches: dict[int, Tensor] = {}
        for index in range(len(images)):
            if len(batches) == self.images:
                break
            try:
                batches[index] = frozen.batch(images, [index], size=self.size)
            except OSError:
                # the runner lists it among the images that could not be read
                continue
        return batches


def cls_attention(attention: Tensor, sides: tuple[int, ...], stride: int) -> Tensor:
    """The [CLS] token's attention over the patches, without prefix tokens, normalised over the patches.

    Args:
        attention: ``[B, heads, P+N, P+N]``, softmaxed, [CLS] first, patches last.
        sides: H and W of the images in pixels.
        stride: side of a patch in pixels.

    Returns:
        ``[B, heads, H/stride, W/stride]``, each map's sum 1.
    """
    height, width = (side // stride for side in sides)
    if attention.shape[-1] <= height * width:
        raise RunError(
            f"attention over {attention.shape[-1]} tokens cannot hold a [CLS] token and {height} x {width} patches"
        )
    maps = attention[:, :, 0, -height * width :].float()
    return (maps / maps.sum(dim=-1, keepdim=True)).unflatten(-1, (height, width))


def mass_masks(maps: Tensor, mass: float) -> Tensor:
    """For each map the smallest set of patches that holds at least ``mass`` of it.

    Args:
        maps: ``[heads, h, w]``, each of sum 1.
        mass: share, in 0..1.

    Returns:
        bool ``[heads, h, w]``.
    """
    values, order = maps.flatten(1).double().sort(dim=1, descending=True)
    # a patch is in the set if those before it do not suffice; the tolerance is for sums such as 0.1 + ... + 0.1
    inside = values.cumsum(dim=1) - values < mass - 1e-9
    return torch.zeros_like(inside).scatter(1, order, inside).view(maps.shape)


def pixels(image: Tensor, frozen: Frozen) -> Tensor:
    """A normalised image ``[C, H, W]`` as it looked: uint8 ``[H, W, 3]`` on the CPU, of more channels the first 3."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (frozen.preprocess.mean, frozen.preprocess.std))
    shown = ((image.cpu() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return shown[: 3 if len(shown) >= 3 else 1].expand(3, -1, -1).permute(1, 2, 0)
