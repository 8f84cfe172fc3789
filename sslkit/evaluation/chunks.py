"""Loads whole images, preprocessed, in chunks that are the same whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from sslkit.data.loading import loaded, loader_of
from sslkit.data.preprocess import preprocess_image, to_pixels
from sslkit.data.reading import BadImage, UnreadableImage, read_image
from sslkit.data.shared import shared
from sslkit.parts.bands import Picture
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import Preprocess


@dataclass(frozen=True)
class Chunk:
    """Preprocessed images.

    Attributes:
        pixels: uint8 ``[B, C, size, size]`` of the readable ones, not normalised; B may be 0.
        indices: which images these are.
        bad: those that could not be read.
    """

    pixels: Tensor
    indices: tuple[int, ...]
    bad: tuple[BadImage, ...]

    def pin_memory(self) -> Chunk:
        """The same chunk in page-locked memory (called by the loader's pinning thread)."""
        return Chunk(self.pixels.pin_memory(), self.indices, self.bad)


@dataclass(frozen=True)
class PreprocessedImages(TorchDataset[tuple[int, Tensor | BadImage]]):
    """Single images of a split, ready to be stacked, or each in its own size (``whole``); pickles, for worker
    processes."""

    images: Images
    preprocess: Preprocess
    transform: Callable[[Picture, int], Picture] | None = None
    whole: bool = False

    def __getitem__(self, index: int) -> tuple[int, Tensor | BadImage]:
        try:
            image = read_image(self.images, index, self.preprocess.channels)
        except UnreadableImage as error:
            return index, error.bad
        if self.transform is not None:
            image = self.transform(image, index)
        return index, to_pixels(image) if self.whole else preprocess_image(image, self.preprocess)


@dataclass(frozen=True)
class StackChunk:
    """Makes a chunk of single images; an object and not a closure, so that it reaches spawned workers."""

    channels: int
    size: int

    def __call__(self, items: list[tuple[int, Tensor | BadImage]]) -> Chunk:
        good = [(index, item) for index, item in items if isinstance(item, Tensor)]
        bad = tuple(item for _, item in items if isinstance(item, BadImage))
        pixels = (
            torch.stack([item for _, item in good])
            if good
            else torch.empty(0, self.channels, self.size, self.size, dtype=torch.uint8)
        )
        return Chunk(shared(pixels), tuple(index for index, _ in good), bad)


@dataclass(frozen=True)
class Share:
    """The chunks of a split that one rank computes: a stretch of whole chunks.

    The chunks lie the same on any number of ranks. A feature depends, in its last bits, on the shape of the batch
    it was computed in: so every number of ranks gives the same features.
    """

    length: int
    batch_size: int
    rank: int
    world_size: int

    def batches(self) -> list[list[int]]:
        """This rank's chunks, as lists of indices, in order."""
        chunks = -(-self.length // self.batch_size)
        first, last = (chunks * turn // self.world_size for turn in (self.rank, self.rank + 1))
        starts = [chunk * self.batch_size for chunk in range(first, last)]
        return [list(range(start, min(start + self.batch_size, self.length))) for start in starts]


def load_chunks(
    images: PreprocessedImages, batches: list[list[int]], *, workers: int, timeout: float, pin: bool
) -> Iterator[Chunk]:
    """The chunks in order.

    Args:
        images: what to load.
        batches: indices of each chunk.
        workers: loader processes, no more than there are chunks; 0: this one.
        timeout: seconds after which a hanging worker is an error; 0: never.
        pin: whether chunks are put into page-locked memory (CUDA).
    """
    collate = StackChunk(images.preprocess.channels, images.preprocess.size)
    workers = min(workers, len(batches))
    yield from loaded(loader_of(images, batches, collate, workers=workers, timeout=timeout, pin=pin))
