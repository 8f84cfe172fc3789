"""From images to batches of views: which images a step sees, and the loader processes that make their views."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from sslkit.data.batch import Batch, Collate, Sample
from sslkit.data.reading import BadImage, UnreadableImage, read_image
from sslkit.data.shared import NoSharedMemory, check_shared_memory, explained
from sslkit.data.whole import Source
from sslkit.errors import RunError, UserError, blame
from sslkit.launcher import launched
from sslkit.parts.augmenter import Augmenter, Draws
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import DEFAULT_VALUES, Values
from sslkit.parts.randomness import generator

#: What the main process decides about.
_LEFT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
#: Seconds that the end of the main process takes, from its connections to the signal that its loader processes get.
_END = 2.0
#: Of Linux (prctl(2)): the signal that a process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1

T = TypeVar("T")

#: Replacements that are tried for one unreadable image before the data counts as unreadable.
MAX_REPLACEMENTS = 20


@dataclass(frozen=True)
class AugmentedImages(TorchDataset[Sample]):
    """Views of images; indexed by (epoch, image index), on which every draw depends.

    An image that cannot be read is replaced by another one, chosen by key, and listed in the sample. A part that
    fails is told of in the sample too: an exception would leave a worker process as a traceback in a message.
    """

    images: Images
    augmenter: Augmenter
    channels: int
    seed: int
    values: Values = DEFAULT_VALUES

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        try:
            with blame("the data set or the augmenter", f"on image {key[1]}"):
                return self._sample(*key)
        except (UserError, RunError) as error:
            return Sample((), key[1], None, failure=str(error))

    def _sample(self, epoch: int, wanted: int) -> Sample:
        bad: list[BadImage] = []
        index = wanted
        for attempt in range(MAX_REPLACEMENTS):
            try:
                image = read_image(self.images, index, self.channels, values=self.values)
            except UnreadableImage as error:
                bad.append(error.bad)
                draw = generator("replacement", self.seed, epoch, wanted, attempt)
                index = int(draw.integers(len(self.images)))
                continue
            label, specs = self.images.label(index), self.augmenter.views
            draws = self.draws(epoch, wanted, attempt, image.size)
            enlarged = min(image.size) < max(view.size for view in specs)
            if self.augmenter.on_device is not None:
                source = Source(self.augmenter.on_device.prepare(image), image.size, draws)
                return Sample((), index, label, tuple(bad), enlarged, source=source)
            views = (self.augmenter.render(image, *pair) for pair in zip(specs, draws, strict=True))
            return Sample(tuple(views), index, label, tuple(bad), enlarged)
        return Sample((), wanted, None, tuple(bad))

    def draws(self, epoch: int, wanted: int, attempt: int, size: tuple[int, int]) -> tuple[Draws, ...]:
        """Every random choice for the views of an image, view by view.

        Args:
            epoch: of it.
            wanted: the image that was asked for.
            attempt: how many unreadable images came before the one that is shown.
            size: width and height in pixels of the one that is shown.
        """
        return tuple(
            self.augmenter.draw(view, *size, self._generator(epoch, wanted, attempt, row))
            for row, view in enumerate(self.augmenter.views)
        )

    def _generator(self, epoch: int, wanted: int, attempt: int, row: int) -> np.random.Generator:
        if attempt == 0:
            return generator("view", self.seed, epoch, wanted, row)
        # a replacement's own views may be in the same batch: keyed by its own index, they would be there twice
        return generator("replacement view", self.seed, epoch, wanted, attempt, row)


def check_readable(views: AugmentedImages, where: str) -> None:
    """Make the views of one image, as training will.

    Args:
        views: what is trained on.
        where: the place of its data set in the recipe, for the message.

    Raises:
        UserError: if of many images not one can be read, or a part fails on the way.
    """
    sample = views[0, 0]
    if sample.failure:
        raise UserError(sample.failure)
    if not sample.readable:
        first = sample.bad[0]
        raise UserError(
            f"{where}: {len(sample.bad)} images were tried and not one can be read; the first: {first.name}: "
            f"{first.reason}"
        )


def permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order of the images in an epoch, ``[length]``: a function of seed and epoch alone."""
    return generator("permutation", seed, epoch).permutation(length)


@dataclass(frozen=True)
class StepSampler(Sampler[list[tuple[int, int]]]):
    """The images of every step from ``start_step`` to ``stop_step``, for one rank.

    A global batch is a stretch of the epoch's permutation and a rank's share a stretch of that, so the same
    images make a step whatever the number of ranks. Images that do not fill a batch at the end of an epoch
    wait for the next permutation.
    """

    length: int
    batch_size: int
    seed: int
    start_step: int
    stop_step: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return self.stop_step - self.start_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        steps_per_epoch = self.length // self.batch_size
        share = self.batch_size // self.world_size
        order, order_of = np.empty(0, dtype=np.int64), -1
        for step in range(self.start_step, self.stop_step):
            epoch, within = divmod(step, steps_per_epoch)
            if epoch != order_of:
                order, order_of = permutation(self.seed, epoch, self.length), epoch
            first = within * self.batch_size + self.rank * share
            yield [(epoch, int(index)) for index in order[first : first + share]]


def default_workers() -> int:
    """One less than this process's share of the cores, at most 8.

    The cores are those that the process may use, shared out among the ranks that torchrun started on this machine
    (its variable LOCAL_WORLD_SIZE).
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(0, min(8, cores // launched().on_machine - 1))


def chosen_workers(given: int | None) -> int:
    """The recipe's ``train.workers``; null: :func:`default_workers`."""
    return default_workers() if given is None else given


def _leave_signals(parent: int | None, _worker: int) -> None:
    """What a loader process does first: leave signals to the main process, and end with it.

    Args:
        parent: the process that must still be there; None: not looked at.
    """
    # Ctrl-C, timeout(1) and some schedulers reach the whole process group: the main process decides, saves, and stops
    # its workers itself
    for number in _LEFT_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # what the main process is woken by is not this one's
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_SIGNALS)
    if sys.platform == "linux":
        # where that is killed they end at once; torch's own watch takes seconds, in which they hold the run's lock
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):  # killed before that line
            os._exit(1)
        sys.excepthook = _patient


def _patient(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an error of a loader process, unless it is the end of the main process that it has met: a connection of a
    process that is killed breaks some time before that signal comes."""
    if issubclass(kind, EOFError | ConnectionError):
        time.sleep(_END)
    sys.__excepthook__(kind, error, trace)


def loader_of(
    data: TorchDataset[Any],
    batches: Iterable[list[Any]],
    collate: Callable[[list[Any]], Any],
    *,
    workers: int,
    timeout: float = 0.0,
    pin: bool = False,
) -> DataLoader[Any]:
    """A loader of batches in order; :func:`loaded` iterates over it.

    Args:
        data: what is indexed.
        batches: the indices of each batch.
        collate: makes a batch of what was indexed.
        workers: loader processes; 0: this one.
        timeout: seconds after which a hanging worker is an error; 0: never.
        pin: whether batches are put into page-locked memory (CUDA).
    """
    # a fork server's children are its own; it ends with the main process, and they with it
    parent = None if workers and multiprocessing.get_start_method() == "forkserver" else os.getpid()
    return DataLoader(
        data,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        timeout=timeout if workers else 0,
        pin_memory=pin,
        worker_init_fn=partial(_leave_signals, parent) if workers else None,
        # its own generator: a loader must not draw from the global one
        generator=torch.Generator(),
    )


def loaded(loader: DataLoader[T]) -> Generator[T, None, None]:
    """What a loader gives; when this is exhausted, closed or fails, its processes are gone, also those that hang.

    Raises:
        LoaderFailed: if they cannot start, die or do not answer.
    """
    if loader.num_workers:
        check_shared_memory(loader.num_workers)
    before = set(multiprocessing.active_children())
    # one that comes while they start would end a process that does not ignore it yet: it waits
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_SIGNALS)
    try:
        batches = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    workers = set(multiprocessing.active_children()) - before
    try:
        yield from batches
    except (RuntimeError, OSError, NoSharedMemory) as error:
        known = explained(error, [worker.exitcode for worker in workers]) if workers else None
        if known is None:
            raise
        raise known from error
    finally:
        if workers:
            # waits for each and then sends SIGTERM, which they leave to this process; they are no one's loss now
            batches._shutdown_workers()  # type: ignore[attr-defined]
        for worker in workers:
            worker.kill()


def make_loader(
    views: AugmentedImages, sampler: StepSampler, *, workers: int, timeout: float, pin: bool
) -> DataLoader[Batch]:
    """A loader over whole steps; one iteration of it is the rest of the run, so workers start once.

    Args:
        views: what to load.
        sampler: which images, step by step.
        workers: loader processes; 0: this one.
        timeout: seconds after which a hanging worker is an error.
        pin: whether batches are put into page-locked memory (CUDA).
    """
    return loader_of(views, sampler, Collate(views.augmenter.views), workers=workers, timeout=timeout, pin=pin)
