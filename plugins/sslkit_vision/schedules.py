"""Schedules: pure functions of the position, in float64; free of torch."""

from __future__ import annotations

import math

from sslkit.errors import UserError
from sslkit.parts import Position, Schedule


class Constant(Schedule):
    """The same number at every step.

    Args:
        value: the number; not negative.
    """

    def __init__(self, value: float) -> None:
        _check(value=value)
        self.value = value

    def __call__(self, at: Position) -> float:
        """``value``, at every position."""
        return float(self.value)

    def scaled(self, factor: float) -> Constant:
        """The constant ``value * factor``."""
        return Constant(self.value * factor)


class Cosine(Schedule):
    """A linear warm-up from 0 to ``start``, then half a cosine towards ``end``.

    The reference DINO's schedule of learning rate, weight decay and teacher momentum (``utils.cosine_scheduler``):
    with T steps in all and W of warm-up, step t < W has ``linspace(0, start, W)[t]`` (the last of them is the
    peak), and step W + i has ``end + (start - end) / 2 * (1 + cos(pi * i / (T - W)))``, which starts at the peak
    again and never quite reaches ``end``. A run shorter than its warm-up only warms up.

    Args:
        start: the value after the warm-up. Where the schedule is a learning rate, the batch size scales the larger
            of ``start`` and ``end`` (both, if they are equal), and the smaller one stays as it is written.
        end: the value that it tends to; as the reference's ``min_lr`` not scaled, unless it is the larger one.
        warmup_epochs: length of the warm-up in epochs; 0: none.
    """

    def __init__(self, start: float, end: float, warmup_epochs: float = 0.0) -> None:
        _check(start=start, end=end, warmup_epochs=warmup_epochs)
        self.start, self.end, self.warmup_epochs = start, end, warmup_epochs

    def __call__(self, at: Position) -> float:
        """The value at a position."""
        warmup = int(self.warmup_epochs * at.steps_per_epoch)
        if at.step < warmup:
            return _linspace(0.0, self.start, warmup, at.step)
        through = (at.step - warmup) / max(at.total - warmup, 1)
        return self.end + 0.5 * (self.start - self.end) * (1 + math.cos(math.pi * through))

    def scaled(self, factor: float) -> Cosine:
        """The same schedule with its peak multiplied: the larger of ``start`` and ``end``."""
        return Cosine(*_scale_peak(self.start, self.end, factor), self.warmup_epochs)


class Linear(Schedule):
    """A straight line from ``start`` to ``end``, then ``end``.

    Step t of the first n has ``linspace(start, end, n)[t]``: both ends are reached.

    Args:
        start: the value at the first step. Where the schedule is a learning rate, the batch size scales the larger
            of ``start`` and ``end`` (both, if they are equal), and the smaller one stays as it is written.
        end: the value at the last step of the line, and after it.
        epochs: length of the line in epochs; null: the whole run.
    """

    def __init__(self, start: float, end: float, epochs: float | None = None) -> None:
        _check(start=start, end=end, epochs=0.0 if epochs is None else epochs)
        self.start, self.end, self.epochs = start, end, epochs

    def __call__(self, at: Position) -> float:
        """The value at a position."""
        steps = at.total if self.epochs is None else int(self.epochs * at.steps_per_epoch)
        return _linspace(self.start, self.end, steps, at.step) if at.step < steps else float(self.end)

    def scaled(self, factor: float) -> Linear:
        """The same schedule with its peak multiplied: the larger of ``start`` and ``end``."""
        return Linear(*_scale_peak(self.start, self.end, factor), self.epochs)


def _scale_peak(start: float, end: float, factor: float) -> tuple[float, float]:
    """Both values, with the larger one multiplied: both if they are equal, for a constant has no lower end."""
    peak = max(start, end)
    return start * factor if start == peak else start, end * factor if end == peak else end


def _linspace(start: float, end: float, count: int, index: int) -> float:
    """``numpy.linspace(start, end, count)[index]``, to the last bit."""
    if count == 1:
        return float(start)
    return float(end) if index == count - 1 else index * ((end - start) / (count - 1)) + start


def _check(**values: float) -> None:
    for key, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"{key} is {value}: a schedule takes numbers of 0 or more")
