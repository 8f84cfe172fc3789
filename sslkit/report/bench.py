"""``sslkit bench``: where the time of a recipe's step goes, and what bounds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from sslkit.data.batch import Batch
from sslkit.data.loading import AugmentedImages, StepSampler, chosen_workers, loaded, make_loader
from sslkit.engine.build import Length, build_run, dataset, length, prepared_images, training_images
from sslkit.engine.distributed import choose_device
from sslkit.engine.dry_run import dry_run
from sslkit.engine.processor import processor
from sslkit.engine.run import Run
from sslkit.engine.step import StepReport, training_step
from sslkit.engine.summary import peak_memory_mb
from sslkit.parts.position import Position
from sslkit.recipe.model import Recipe
from sslkit.report.console import logging_to

#: What a step calls, as told, and on what of a run.
_PARTS = {
    "views to the device": ("", "views"),
    "teacher forward": ("", "targets"),
    "student forward": ("", "outputs"),
    "loss": ("", "terms"),
    "backward": ("precision", "backward"),
    "gradient norms and clipping": ("", "clip_gradients"),
    "finite check (the host sync)": ("guard", "passes"),
    "optimizer": ("optimizer", "step"),
    "teacher rule": ("", "move_teacher"),
    "loss buffers": ("", "commit"),
}
#: Seconds of products of square matrices, and their side on a CPU and on a GPU.
_CEILING_SECONDS, _CPU_SIDE, _GPU_SIDE = 1.0, 1024, 8192


@dataclass(frozen=True)
class Bench:
    """What was measured; rates are of images, not of views.

    Attributes:
        images_per_second: steps and loader together.
        step_images_per_second: the step alone, on a batch that is there.
        loader_images_per_second: the loader alone.
        wait_share: of the time that the step stood still for data.
        split: seconds of a step by part, each waited for.
        flops: of a step, by counting (matrix products and convolutions).
        ceiling: flops a second of large matrix products here, in the recipe's precision.
        memory_mb: the most that the process held.
        batch_size: images a step.
        workers: loader processes.
    """

    images_per_second: float
    step_images_per_second: float
    loader_images_per_second: float
    wait_share: float
    split: dict[str, float]
    flops: int
    ceiling: float
    memory_mb: float
    batch_size: int
    workers: int

    @property
    def share_of_ceiling(self) -> float:
        """The step's flops a second as a share of the ceiling."""
        return self.flops * self.step_images_per_second / self.batch_size / self.ceiling

    def advice(self) -> list[str]:
        """What bounds it, and what would help."""
        largest = max(self.split, key=lambda part: self.split[part])
        share = self.split[largest] / sum(self.split.values())
        if self.loader_images_per_second < self.step_images_per_second:
            return [
                f"the loader bounds it: {self.loader_images_per_second:.0f} images/s against the step's "
                f"{self.step_images_per_second:.0f}; train.workers is {self.workers}: more of them where cores are "
                "free, smaller images (train.short_side, train.cache), or fewer views"
            ]
        told = [f"the step bounds it; of its parts the largest is: {largest} ({100 * share:.0f}%)"]
        if self.share_of_ceiling < 0.2:
            told.append(
                f"it reaches {100 * self.share_of_ceiling:.0f}% of what matrix products reach here: a larger "
                "train.batch_size or train.precision bf16 may help"
            )
        return told


@dataclass
class _Clock:
    """Adds up what calls take, on a device that is waited for."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = _now(self.device)
            found = call(*arguments, **named)
            self.seconds[name] = self.seconds.get(name, 0.0) + _now(self.device) - began
            return found

        return timed


def bench(recipe: Recipe, steps: int) -> Bench:
    """Measure a recipe's step on this machine, in this process; nothing is written.

    Args:
        recipe: what is measured.
        steps: how many steps each measurement has.

    Raises:
        UserError: for whatever the recipe's parts refuse.
    """
    device = choose_device(recipe.train.device)
    with processor(device, recipe.train.threads), logging_to(None):
        data = dataset(recipe.data)
        images = prepared_images(recipe, training_images(recipe, data))
        total = length(recipe, len(images))
        classes = len(images.classes) if images.classes is not None else None
        run = build_run(recipe, total, classes, device)
        dry_run(recipe, run, classes)
        run.precision.warn_if_slow()
        preprocess = recipe.preprocess
        views = AugmentedImages(images, run.augmenter, preprocess.channels, recipe.seed, preprocess.values)
        if recipe.train.compile:
            run.compile_nets(recipe.train.cuda_graphs)
        return _measure(recipe, run, views, total, steps)


def _measure(recipe: Recipe, run: Run, views: AugmentedImages, total: Length, steps: int) -> Bench:
    size, device = recipe.train.batch_size, run.device
    workers = chosen_workers(recipe.train.workers)
    # a loader begins by filling its queues: two batches a worker
    filling = 2 * workers
    with closing(_batches(recipe, views, workers, device)) as batches:
        rate, batch = _loader_rate(batches, filling, steps, size)
    clock = Steps(run, total)
    for _ in range(3):
        clock.step(batch)
    began = _now(device)
    for _ in range(steps):
        clock.step(batch)
    alone = steps * size / (_now(device) - began)
    with FlopCounterMode(display=False) as counter:
        clock.step(batch)
    with closing(_batches(recipe, views, workers, device)) as batches:
        together, wait = _together(batches, clock, filling, steps, size)
    return Bench(
        images_per_second=together,
        step_images_per_second=alone,
        loader_images_per_second=rate,
        wait_share=wait,
        split=_split(clock, batch, steps),
        flops=counter.get_total_flops(),
        ceiling=ceiling(device, run.precision.dtype),
        memory_mb=peak_memory_mb(device),
        batch_size=size,
        workers=workers,
    )


class Steps:
    """Makes one training step after the other.

    Args:
        run: what is trained.
        total: how long the run would be.
    """

    def __init__(self, run: Run, total: Length) -> None:
        self.run, self._total, self._done = run, total, 0

    def step(self, batch: Batch) -> StepReport:
        """The next one."""
        at = Position(self._done % self._total.total, self._total.total, self._total.steps_per_epoch)
        self._done += 1
        return training_step(self.run, batch, at)


def _batches(
    recipe: Recipe, views: AugmentedImages, workers: int, device: torch.device
) -> Generator[Batch, None, None]:
    # as many epochs as are asked for: a small data set has few steps in one
    sampler = StepSampler(len(views.images), recipe.train.batch_size, recipe.seed, 0, 1_000_000)
    loader = make_loader(
        views, sampler, workers=workers, timeout=recipe.train.worker_timeout, pin=device.type == "cuda"
    )
    return loaded(loader)


def _loader_rate(batches: Iterator[Batch], filling: int, steps: int, size: int) -> tuple[float, Batch]:
    first = next(batches)
    for _ in islice(batches, filling):
        pass
    began = time.perf_counter()
    for _ in islice(batches, steps):
        pass
    return steps * size / (time.perf_counter() - began), first


def _together(batches: Iterator[Batch], clock: Steps, filling: int, steps: int, size: int) -> tuple[float, float]:
    device, waited = clock.run.device, 0.0
    for batch in islice(batches, 1 + filling):
        clock.step(batch)
    began = _now(device)
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        clock.step(batch)
    seconds = _now(device) - began
    return steps * size / seconds, waited / seconds


def _split(clock: Steps, batch: Batch, steps: int) -> dict[str, float]:
    """Seconds of a step by part; what is left is told too."""
    run, times = clock.run, _Clock(clock.run.device)
    for name, (owner, method) in _PARTS.items():
        target = getattr(run, owner) if owner else run
        setattr(target, method, times.around(name, getattr(target, method)))
    began = _now(run.device)
    for _ in range(steps):
        clock.step(batch)
    whole = (_now(run.device) - began) / steps
    parts = {name: times.seconds.get(name, 0.0) / steps for name in _PARTS}
    return parts | {"the rest": max(0.0, whole - sum(parts.values()))}


def ceiling(device: torch.device, dtype: torch.dtype | None) -> float:
    """Flops a second of products of large square matrices.

    Args:
        device: where.
        dtype: of the matrices; None: float32.
    """
    side = _GPU_SIDE if device.type == "cuda" else _CPU_SIDE
    a, b = (torch.randn(side, side, device=device).to(dtype or torch.float32) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + _CEILING_SECONDS
    while time.perf_counter() < until:
        began = _now(device)
        torch.mm(a, b)
        best = min(best, _now(device) - began)
    return 2 * side**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
