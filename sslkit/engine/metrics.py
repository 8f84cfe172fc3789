"""Collects each step's numbers on the device and reads them back together."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from sslkit.parts.collectives import mean_over_ranks
from sslkit.parts.watcher import Row


class Recorder:
    """Keeps metrics of steps until they are read back: one host sync and one reduction for all of them.

    Args:
        steps_per_epoch: optimizer steps of one epoch.
        batch_size: images an optimizer step over all ranks.
    """

    def __init__(self, steps_per_epoch: int, batch_size: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self._kept: list[tuple[int, dict[str, Tensor], dict[str, float]]] = []
        self._waited = 0.0
        self._since = time.perf_counter()

    def add(self, done: int, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
        """Keep the metrics of the step that made ``done`` steps done."""
        self._kept.append((done, dict(tensors), dict(numbers)))

    def waited(self, seconds: float) -> None:
        """Note time that the step stood still for data."""
        self._waited += seconds

    def restart_clock(self) -> None:
        """Leave what happened since the last flush (an evaluation, a checkpoint) out of the speed."""
        self._since, self._waited = time.perf_counter(), 0.0

    def flush(self) -> list[Row]:
        """All kept metrics as rows, means over ranks; every rank must call it at the same steps."""
        if not self._kept:
            return []
        values = iter(self._read())
        rows = []
        for done, tensors, numbers in self._kept:
            for name in tensors:
                rows.append(self._row(done, name, next(values)))
            rows += [self._row(done, name, value) for name, value in numbers.items()]
        seconds = time.perf_counter() - self._since
        steps, done = len(self._kept), self._kept[-1][0]
        rows.append(self._row(done, "time/images_per_second", steps * self.batch_size / seconds))
        rows.append(self._row(done, "time/data_wait_share", self._waited / seconds))
        self._kept.clear()
        self.restart_clock()
        return rows

    def _read(self) -> list[float]:
        scalars = [tensor.detach().float().reshape(()) for _, tensors, _ in self._kept for tensor in tensors.values()]
        if not scalars:
            return []
        return mean_over_ranks(torch.stack(scalars)).tolist()

    def _row(self, done: int, name: str, value: float) -> Row:
        return Row(done, done / self.steps_per_epoch, name, value)
