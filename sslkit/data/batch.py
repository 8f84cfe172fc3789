"""A batch on its way from the loader to the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sslkit.data.reading import BadImage
from sslkit.data.shared import shared
from sslkit.data.whole import Source, stack_sources
from sslkit.errors import RunError
from sslkit.parts.augmenter import Augmenter
from sslkit.parts.device_views import WholeImages
from sslkit.parts.views import ViewSpec


@dataclass(frozen=True)
class Sample:
    """The views of one image, or the image that they will be made of on the device.

    Attributes:
        views: uint8 ``[C, size, size]`` each, in the augmenter's order; empty if there is a source or no image could
            be read.
        index: which image it is (the replacement's, where the wanted one could not be read).
        label: its label, or None.
        bad: images that could not be read on the way.
        enlarged: whether the image's short side is smaller than the largest view.
        failure: what a part that failed on the way is to blame for, in one sentence; empty: nothing.
        source: the whole image and its draws, for views that are made on the device.
    """

    views: tuple[Tensor, ...]
    index: int
    label: int | None
    bad: tuple[BadImage, ...] = ()
    enlarged: bool = False
    failure: str = ""
    source: Source | None = None

    @property
    def readable(self) -> bool:
        """Whether there is an image."""
        return bool(self.views) or self.source is not None


@dataclass(frozen=True)
class Batch:
    """Views of several images, or the images that they will be made of.

    Attributes:
        pixels: for each side in pixels, uint8 ``[V, B, C, size, size]``; empty if there are whole images, or the data
            is unreadable.
        indices: ``[B]`` int64.
        labels: ``[B]`` int64 or None.
        bad: images that could not be read and were replaced.
        enlarged: how many images have a short side smaller than the largest view. Like ``bad`` it is told of the
            whole batch, not of micro-batches.
        failure: the first sample's that has one: then there are no pixels.
        whole: whole images, for views that are made on the device.
    """

    pixels: Mapping[int, Tensor]
    indices: Tensor
    labels: Tensor | None
    bad: tuple[BadImage, ...] = ()
    enlarged: int = 0
    failure: str = ""
    whole: WholeImages | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def readable(self) -> bool:
        """Whether there are images."""
        return bool(self.pixels) or self.whole is not None

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches of equal size, in order."""
        if parts == 1:
            return [self]
        pixels = {size: tensor.chunk(parts, dim=1) for size, tensor in self.pixels.items()}
        labels = self.labels.chunk(parts) if self.labels is not None else [None] * parts
        whole = self.whole.split(len(self) // parts) if self.whole is not None else [None] * parts
        return [
            Batch({size: chunks[part] for size, chunks in pixels.items()}, indices, labels[part], whole=whole[part])
            for part, indices in enumerate(self.indices.chunk(parts))
        ]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device, copied without waiting where its memory is pinned."""
        return self._on(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (called by the loader's pinning thread)."""
        return self._on(Tensor.pin_memory)

    def shared(self) -> Batch:
        """The same batch, ready to leave a loader process (see :func:`sslkit.data.shared.shared`)."""
        return self._on(shared)

    def views(self, augmenter: Augmenter) -> Mapping[int, Tensor]:
        """The views where the batch is, for each side in pixels uint8 ``[V, B, C, size, size]``."""
        if self.whole is None or augmenter.on_device is None:
            return self.pixels
        return augmenter.on_device.render(self.whole)

    def _on(self, move: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            pixels={size: move(tensor) for size, tensor in self.pixels.items()},
            indices=move(self.indices),
            labels=move(self.labels) if self.labels is not None else None,
            whole=self.whole.on(move) if self.whole is not None else None,
        )


@dataclass(frozen=True)
class Collate:
    """Stacks samples into a batch; an object and not a closure, so that it reaches spawned workers."""

    specs: tuple[ViewSpec, ...]

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch of these samples; without pixels if for one of them no image could be read.

        Raises:
            RunError: if some of the images have a label and others have none.
        """
        bad = tuple(image for sample in samples for image in sample.bad)
        indices = torch.tensor([sample.index for sample in samples])
        if not all(sample.readable for sample in samples):
            return Batch({}, indices, None, bad, failure=next((s.failure for s in samples if s.failure), ""))
        sources = [sample.source for sample in samples if sample.source is not None]
        pixels = {} if sources else self._stack(samples)
        whole = stack_sources(sources) if sources else None
        enlarged = sum(sample.enlarged for sample in samples)
        return Batch(pixels, indices, _labels(samples), bad, enlarged, whole=whole).shared()

    def _stack(self, samples: Sequence[Sample]) -> dict[int, Tensor]:
        pixels = {}
        for size in dict.fromkeys(spec.size for spec in self.specs):
            rows = [row for row, spec in enumerate(self.specs) if spec.size == size]
            pixels[size] = torch.stack([torch.stack([sample.views[row] for sample in samples]) for row in rows])
        return pixels


def _labels(samples: Sequence[Sample]) -> Tensor | None:
    labels = [sample.label for sample in samples if sample.label is not None]
    if not labels:
        return None
    if len(labels) < len(samples):
        without = next(sample.index for sample in samples if sample.label is None)
        raise RunError(
            f"the data set gives no label for image {without}, but has labels for others of the same batch; "
            "its label(index) must give a label for every image, or None for every image"
        )
    return torch.tensor(labels)
