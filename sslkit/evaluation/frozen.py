"""Runs a frozen backbone over a data set, on all ranks together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor

from sslkit.data.preprocess import normalize
from sslkit.data.reading import BadImage, UnreadableImage
from sslkit.errors import RunError
from sslkit.evaluation.borrow import borrowed
from sslkit.evaluation.chunks import PreprocessedImages, Share, StackChunk, load_chunks
from sslkit.evaluation.gather import gather_rows
from sslkit.parts.backbone import Backbone, Tokens, whole_patches
from sslkit.parts.bands import Picture
from sslkit.parts.collectives import gather_items, rank, world_size
from sslkit.parts.dataset import Images
from sslkit.parts.evaluator import Features, Frozen
from sslkit.parts.preprocess import Preprocess


class FrozenBackbone(Frozen):
    """A backbone that is borrowed: ``with FrozenBackbone(net, ...) as frozen`` puts it in eval mode, and gives every
    module its own mode back afterwards. Features are computed inside the block only.

    Args:
        backbone: on ``device``; not wrapped.
        preprocess: how a whole image becomes its input.
        device: where it is.
        seed: for whatever an evaluator draws.
        batch_size: images a chunk; features are the same for any number of ranks, but may differ in their last
            bits with it.
        workers: loader processes a rank; 0: this one.
        precision: what autocast computes in; None: float32. Features come out as float32 on ``device``.
        worker_timeout: seconds after which a hanging loader process is an error; 0: never.

    Attributes:
        bad: images that could not be read so far, on any rank, each once.
        progress: gets how many of how many images of a split this rank has worked through.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess,
        *,
        device: torch.device,
        seed: int,
        batch_size: int,
        workers: int,
        precision: torch.dtype | None = None,
        worker_timeout: float = 300.0,
    ) -> None:
        self.backbone, self.preprocess = backbone, preprocess
        self.device, self.seed = device, seed
        self.bad: list[BadImage] = []
        self.progress: Callable[[int, int], None] = lambda _done, _total: None
        self._batch_size, self._workers, self._timeout = batch_size, workers, worker_timeout
        self._precision = precision
        self._loan = ExitStack()
        # features of whole splits, which several evaluators want, and the version of the tensor that was given out
        self._known: list[tuple[Images, Features, int]] = []

    def __enter__(self) -> FrozenBackbone:
        self._loan.enter_context(borrowed(self.backbone))
        return self

    def __exit__(self, *_error: object) -> None:
        self._known.clear()
        self._loan.close()

    def features(
        self,
        images: Images,
        *,
        transform: Callable[[Picture, int], Picture] | None = None,
        extract: Callable[[Tensor], Tensor] | None = None,
        whole: bool = False,
    ) -> Features:
        """See :meth:`sslkit.parts.Frozen.features`. All tensors lie on the device.

        Plain features of a split (no transform, no extract) are computed once and handed out again.

        Raises:
            RunError: if a feature is not finite.
        """
        if transform is not None or extract is not None or whole:
            wanted = PreprocessedImages(images, self.preprocess, transform, whole)
            return self._compute(wanted, extract or self._pooled)
        for seen, features, version in self._known:
            if seen is images and features.x._version == version:
                return features
        features = self._compute(PreprocessedImages(images, self.preprocess), self._pooled)
        self._known.append((images, features, features.x._version))
        return features

    def batch(self, images: Images, indices: list[int], size: int | None = None) -> Tensor:
        """See :meth:`sslkit.parts.Frozen.batch`.

        Raises:
            UnreadableImage: an ``OSError``, if one of them cannot be read; it is listed in ``bad``.
        """
        wanted = self.preprocess
        if size is not None:
            short = wanted.resize and round(wanted.resize * size / wanted.size)
            wanted = replace(wanted, size=size, resize=short)
        single = PreprocessedImages(images, wanted)
        chunk = StackChunk(wanted.channels, wanted.size)([single[index] for index in indices])
        if chunk.bad:
            self._list(list(chunk.bad))
            raise UnreadableImage(chunk.bad[0])
        return normalize(chunk.pixels.to(self.device), wanted)

    def image(self, images: Images, index: int, transform: Callable[[Picture, int], Picture] | None = None) -> Tensor:
        """See :meth:`sslkit.parts.Frozen.image`.

        Raises:
            UnreadableImage: an ``OSError``, if it cannot be read; it is listed in ``bad``.
        """
        _, found = PreprocessedImages(images, self.preprocess, transform, whole=True)[index]
        if isinstance(found, BadImage):
            self._list([found])
            raise UnreadableImage(found)
        return normalize(whole_patches(found[None].to(self.device), self.backbone.stride), self.preprocess)

    def _compute(self, wanted: PreprocessedImages, extract: Callable[[Tensor], Tensor]) -> Features:
        images = wanted.images
        rows, indices, bad = self._own_share(wanted, extract)
        self._list(gather_items(bad))
        x = gather_rows(rows)
        if x.shape[1] == 0:
            # no image could be read, on any rank
            x = x.new_empty(0, self.backbone.embed_dim)
        order = gather_rows(torch.tensor(indices, dtype=torch.int64, device=self.device)[:, None])[:, 0]
        known = order.tolist()
        broken = (~torch.isfinite(x).all(dim=1)).nonzero()[:, 0].tolist()
        if broken:
            first = images.name(known[broken[0]])
            raise RunError(f"the features of {len(broken)} of {len(known)} images are not finite; the first is {first}")
        return Features(x, self._labels(images, known), order)

    def _own_share(
        self, wanted: PreprocessedImages, extract: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, list[int], list[BadImage]]:
        """This rank's features ``[N, D]``, their indices, and what could not be read."""
        together = 1 if wanted.whole else self._batch_size
        batches = Share(len(wanted.images), together, rank(), world_size()).batches()
        rows = torch.empty(0, 0, device=self.device)
        indices: list[int] = []
        bad: list[BadImage] = []
        seen = 0
        for chunk in load_chunks(
            wanted,
            batches,
            workers=self._workers,
            timeout=self._timeout,
            pin=self.device.type == "cuda",
        ):
            bad.extend(chunk.bad)
            seen += len(chunk.indices) + len(chunk.bad)
            self.progress(seen, sum(map(len, batches)))
            if not chunk.indices:
                continue
            new = self._extract(chunk.pixels, extract)
            if not indices:
                # one block for all of them: a list that is joined at the end would need the memory twice
                rows = torch.empty(sum(map(len, batches)), new.shape[1], device=self.device)
            rows[len(indices) : len(indices) + len(new)] = new
            indices.extend(chunk.indices)
        return rows[: len(indices)], indices, bad

    @torch.no_grad()
    def _extract(self, pixels: Tensor, extract: Callable[[Tensor], Tensor]) -> Tensor:
        images = normalize(pixels.to(self.device, non_blocking=True), self.preprocess)
        with torch.autocast(self.device.type, dtype=self._precision, enabled=self._precision is not None):
            return extract(images).float()

    def _pooled(self, images: Tensor) -> Tensor:
        tokens: Tokens = self.backbone(whole_patches(images, self.backbone.stride))
        return tokens.cls

    def _labels(self, images: Images, indices: list[int]) -> Tensor | None:
        labels = [images.label(index) for index in indices]
        given = [label for label in labels if label is not None]
        if not given:
            return None
        if len(given) < len(labels):
            name = images.name(indices[labels.index(None)])
            raise RunError(f"image {name} has no label, but others of its split have one")
        return torch.tensor(given, device=self.device)

    def _list(self, bad: list[BadImage]) -> None:
        self.bad = list(dict.fromkeys([*self.bad, *bad]))
