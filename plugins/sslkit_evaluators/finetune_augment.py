"""What fine-tuning makes of its train images: DeiT's augmentation, or crops and flips alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image, Resampling
from torch import Tensor

from sslkit.parts import Preprocess, keyed_randomness
from sslkit_evaluators.train_crop import TrainCrop, framed

#: Of the targets (DeiT, main.py --smoothing).
_SMOOTHING = 0.1

#: A train image's view, from the image and its index; pickles, for worker processes.
View = Callable[[Any, int], Any]


class Augmentation(ABC):
    """How train images are changed: each on its own as a picture, and then a step's together.

    Args:
        preprocess: of the backbone; views pass it unchanged.
        scale: share of an image's area that a crop keeps, least and largest.
        classes: C.
        seed: of every draw.
    """

    def __init__(self, preprocess: Preprocess, scale: tuple[float, float], classes: int, seed: int) -> None:
        self.preprocess, self.scale, self.classes, self.seed = preprocess, scale, classes, seed
        self.short = preprocess.resize or preprocess.size

    @abstractmethod
    def view(self, epoch: int) -> View:
        """The views of an epoch; their draws depend on seed, epoch and index alone."""

    @abstractmethod
    def together(self, images: Tensor, labels: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """A step's images, changed in place, and their targets ``[B, C]``; draws depend on seed, epoch and step.

        Args:
            images: ``[B, C, H, W]``, normalised.
            labels: ``[B]`` int64.
            epoch: which pass, 0-based.
            step: which step of it, 0-based.
        """


class Crops(Augmentation):
    """A random resized crop and a flip, as the linear probe has them; targets are smoothed."""

    def view(self, epoch: int) -> View:
        """See :class:`Augmentation`."""
        return TrainCrop(self.preprocess.size, self.short, self.scale, self.seed, epoch)

    def together(self, images: Tensor, labels: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """See :class:`Augmentation`."""
        from timm.data.mixup import mixup_target

        return images, mixup_target(labels, self.classes, smoothing=_SMOOTHING)


class DeiT(Augmentation):
    """DeiT's (Touvron et al. 2021, table 9; its main.py), over timm's own code: bicubic random resized crop, flip,
    RandAugment of 2 operations at magnitude 9 (``rand-m9-mstd0.5-inc1``), random erasing of 0.25 with noise; then mixup
    (alpha 0.8) or cutmix (alpha 1.0), one of them, the same for the step; label smoothing 0.1.
    """

    def view(self, epoch: int) -> View:
        """See :class:`Augmentation`."""
        from timm.data.auto_augment import rand_augment_transform
        from torchvision.transforms import InterpolationMode, RandomHorizontalFlip, RandomResizedCrop

        side = self.preprocess.size
        options = {
            "translate_const": int(0.45 * side),
            "img_mean": tuple(min(255, round(255 * mean)) for mean in self.preprocess.mean),
            "interpolation": Resampling.BICUBIC,
            # timm's 10 would posterize to 0 bits, which newer Pillows refuse and older ones made black
            "magnitude_max": 9.999,
        }
        transforms = (
            RandomResizedCrop(side, self.scale, interpolation=InterpolationMode.BICUBIC),
            RandomHorizontalFlip(),
            rand_augment_transform("rand-m9-mstd0.5-inc1", options),
        )
        return _DeiTView(transforms, self.short, self.seed, epoch)

    def together(self, images: Tensor, labels: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """See :class:`Augmentation`; of an odd number of images the last is left out, as mixing pairs them."""
        from timm.data import Mixup
        from timm.data.random_erasing import RandomErasing

        even = len(images) // 2 * 2
        erase = RandomErasing(0.25, mode="pixel", max_count=1, device=images.device)
        mix = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=_SMOOTHING, num_classes=self.classes)
        with keyed_randomness(images.device, "finetune_mix", self.seed, epoch, step):
            mixed, targets = mix(erase(images[:even]), labels[:even])
        return mixed, targets


@dataclass(frozen=True)
class _DeiTView:
    """A picture through timm's transforms, by key."""

    transforms: tuple[Callable[[Image], Image], ...]
    short: int
    seed: int
    epoch: int

    def __call__(self, image: Image, index: int) -> Image:
        with keyed_randomness(torch.device("cpu"), "finetune_view", self.seed, self.epoch, index):
            for transform in self.transforms:
                image = transform(image)
        return framed(image, self.short)
