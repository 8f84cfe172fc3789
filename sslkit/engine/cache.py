"""Decoded images in one memory-mapped file: what a run reads instead of the data set's own files."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from sslkit.data.loading import chosen_workers, loaded, loader_of
from sslkit.data.reading import UnreadableImage
from sslkit.data.shrunk import read_shrunk
from sslkit.engine.files import write_bytes, write_json
from sslkit.errors import UserError
from sslkit.evaluation.chunks import Share
from sslkit.parts.bands import Bands
from sslkit.parts.dataset import Images
from sslkit.parts.terminal import tracked

log = logging.getLogger("sslkit")

_VERSION = 3
_AT_A_TIME = 64
#: Images of so many channels are Pillow's, others bands.
_MODES = {3: "RGB", 1: "L"}


class CachedImages(Images):
    """Images of a data set as a cache has them; those that could not be read are asked of the data set again.

    Args:
        source: the data set's.
        file: pixels of all images, one after the other.
        table: ``[N, 3]`` int64: where an image begins, its height and width; height 0: not in the cache.
        channels: of the images.
    """

    def __init__(self, source: Images, file: Path, table: np.ndarray, channels: int) -> None:
        self.classes, self._source, self._file, self._table = source.classes, source, file, table
        self._channels = channels
        self._pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Image | Tensor:
        """See :class:`sslkit.parts.Images`."""
        start, height, width = (int(number) for number in self._table[index])
        if not height:
            return self._source.read(index)
        if self._pixels is None:
            self._pixels = np.memmap(self._file, dtype=np.uint8, mode="r")
        flat = self._pixels[start : start + height * width * self._channels]
        if self._channels in _MODES:
            return PIL.Image.frombytes(_MODES[self._channels], (width, height), flat.tobytes())
        return torch.from_numpy(flat.reshape(self._channels, height, width).copy())

    def label(self, index: int) -> int | None:
        """See :class:`sslkit.parts.Images`."""
        return self._source.label(index)

    def name(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return self._source.name(index)

    def __getstate__(self) -> dict[str, Any]:
        # a mapping would travel to a worker as all its bytes
        return {**vars(self), "_pixels": None}


@dataclass(frozen=True)
class _Decoded(TorchDataset[np.ndarray | None]):
    """Images as they are kept: RGB ``[H, W, 3]``, grey ``[H, W]``, bands ``[C, H, W]``; None: unreadable."""

    images: Images
    channels: int
    side: int

    def __getitem__(self, index: int) -> np.ndarray | None:
        try:
            image = read_shrunk(self.images, index, self.channels, self.side)
        except UnreadableImage:
            return None
        return image.array() if isinstance(image, Bands) else np.asarray(image)


def cached(images: Images, folder: Path, side: int, channels: int, workers: int | None) -> CachedImages:
    """Images from the cache in a folder, which is made if it is not there; other processes wait meanwhile.

    Args:
        images: the data set's.
        folder: of the cache.
        side: images with a larger short side are shrunk to it.
        channels: that images are turned into.
        workers: processes that decode; None: chosen.

    Raises:
        UserError: if it is a cache of other images, or cannot be written.
    """
    wanted = {
        "version": _VERSION, "images": len(images), "names": _digest(images.name(i) for i in range(len(images))),
        "stamps": _digest(images.stamp(i) for i in range(len(images))), "side": side, "channels": channels,
    }  # fmt: skip
    with _alone(folder):
        there = _read(folder)
        if there is not None and there["names"] != wanted["names"]:
            raise UserError(
                f"train.cache: {folder} is a cache of {there['images']} other images: name another folder, or delete it"
            )
        if there != wanted:
            if there is not None:
                changed = [key for key in wanted if there.get(key) != wanted[key]]
                log.info("the cache %s is made anew: %s changed", folder, ", ".join(changed))
            _make(_Decoded(images, channels, side), folder, wanted, workers)
        return CachedImages(images, folder / "pixels.bin", np.load(folder / "table.npy"), channels)


def _digest(texts: Iterator[str]) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise UserError(f"train.cache: {folder} cannot be written: {error.strerror or error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(folder: Path) -> dict[str, Any] | None:
    """What a whole cache says of itself; a cache is whole once it says anything."""
    try:
        found = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = {"version", "images", "names", "stamps", "side", "channels"}
    return found if isinstance(found, dict) and keys <= found.keys() else None


def _make(decoded: _Decoded, folder: Path, wanted: dict[str, Any], workers: int | None) -> None:
    # taken away first: a cache that is half written must not look whole
    (folder / "cache.json").unlink(missing_ok=True)
    beside = folder / "pixels.bin.new"
    try:
        table = _write(decoded, beside, workers)
        # not written over: another run may be reading the old one
        beside.replace(folder / "pixels.bin")
        content = io.BytesIO()
        np.save(content, table)
        write_bytes(folder / "table.npy", content.getvalue())
        write_json(folder / "cache.json", wanted)
    except OSError as error:
        done = beside.stat().st_size if beside.exists() else 0
        beside.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
        raise UserError(
            f"train.cache: {folder} cannot be written: {error.strerror or error}, after {done / 2**30:.2f} GiB; "
            f"{free / 2**30:.2f} GiB are free there without it: a smaller train.cache_side, or another disk"
        ) from error


def _write(decoded: _Decoded, file: Path, workers: int | None) -> np.ndarray:
    count = len(decoded.images)
    batches = Share(count, _AT_A_TIME, 0, 1).batches()
    loader = loader_of(decoded, batches, list, workers=chosen_workers(workers))
    table, row, place = np.zeros((count, 3), dtype=np.int64), 0, 0
    sides = slice(0, 2) if decoded.channels in _MODES else slice(1, 3)
    with closing(loaded(loader)) as arrays, file.open("wb") as out:
        for batch in tracked(arrays, "decoding into the cache", len(batches)):
            for pixels in cast(list[np.ndarray | None], batch):
                if pixels is not None:
                    table[row] = (place, *pixels.shape[sides])
                    out.write(pixels.tobytes())
                    place += pixels.size
                row += 1
        out.flush()
        os.fsync(out.fileno())
    return table
