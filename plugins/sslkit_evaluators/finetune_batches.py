"""The train images of fine-tuning, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sslkit.errors import RunError
from sslkit.parts import Frozen, Images, generator, world_size
from sslkit_evaluators.finetune_augment import View
from sslkit_evaluators.subset import Some

#: Views are loaded for as many steps at once as fit here, as float32 on the device: every load starts the worker
#: processes anew.
_BLOCK_BYTES = 2**30


@dataclass(frozen=True)
class _OfChosen:
    """A view of a part's image, keyed by its index in the whole split."""

    view: View
    chosen: tuple[int, ...]

    def __call__(self, image: Any, index: int) -> Any:
        return self.view(image, self.chosen[index])


def steps_of(images: Images, batch_size: int) -> tuple[int, int]:
    """How many steps an epoch has, and how many images a step.

    Images that fill no step at the end of an epoch are left out of it; where all images are fewer than a step, they are
    one.
    """
    size = min(batch_size, len(images))
    return len(images) // max(1, size), size


def least_images() -> int:
    """The smallest step: an image for every rank, and an even number of them, as mixing pairs images."""
    return world_size() + world_size() % 2


class TrainBatches:
    """Steps of labelled train images in random orders, the same on every rank and for any number of loader processes.

    An image that cannot be read is listed by ``frozen`` once, and left out from then on.

    Args:
        frozen: whose loader and preprocessing are used.
        images: the train split.
        batch_size: images a step.

    Attributes:
        steps: of an epoch.
        size: images a step.
    """

    def __init__(self, frozen: Frozen, images: Images, batch_size: int) -> None:
        self._frozen, self._images = frozen, images
        self.steps, self.size = steps_of(images, batch_size)
        self._unreadable: set[int] = set()

    def epoch(self, epoch: int, view: View) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: images ``[B, C, H, W]``, normalised, and labels ``[B]``, step by step, on the device.

        Args:
            epoch: which pass, 0-based.
            view: what is made of an image before the preprocessing.

        Raises:
            RunError: if a step has too few readable images.
        """
        order = generator("finetune_order", self._frozen.seed, epoch).permutation(len(self._images)).tolist()
        order = [index for index in order if index not in self._unreadable]
        preprocess = self._frozen.preprocess
        together = max(1, _BLOCK_BYTES // (self.size * preprocess.channels * preprocess.size**2 * 4))
        for first in range(0, self.steps, together):
            last = min(self.steps, first + together)
            yield from self._block(tuple(order[first * self.size : last * self.size]), last - first, view)

    def _block(self, chosen: tuple[int, ...], steps: int, view: View) -> Iterator[tuple[Tensor, Tensor]]:
        """Several steps whose views are loaded at once."""
        known = self._frozen.features(Some(self._images, chosen), transform=_OfChosen(view, chosen), extract=_pixels)
        read = set(known.indices.tolist())
        self._unreadable |= {index for position, index in enumerate(chosen) if position not in read}
        side = self._frozen.preprocess.size
        for step in range(steps):
            rows = (known.indices // self.size == step).nonzero()[:, 0]
            if len(rows) < least_images() or known.labels is None:
                raise RunError(
                    f"a step of {self.size} train images has {len(rows)} labelled ones that can be read, "
                    f"and fine-tuning needs {least_images()}"
                )
            yield known.x[rows].view(len(rows), -1, side, side), known.labels[rows]


def _pixels(images: Tensor) -> Tensor:
    return torch.flatten(images, 1)
