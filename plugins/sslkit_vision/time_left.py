"""How long a run will take, from what it has taken so far."""

from __future__ import annotations

from collections.abc import Iterable


class TimeLeft:
    """Estimates the seconds until a run stops: steps and evaluations, each at its own pace so far.

    The first step is no measure: nets are compiled in it, and loader processes start. Every ``now`` is a time in
    seconds of one clock.

    Args:
        stop: the step that is trained to.
        evaluations: the steps after which evaluators still have to run.
    """

    def __init__(self, stop: int, evaluations: Iterable[int] = ()) -> None:
        self._stop, self._due = stop, set(evaluations)
        self._first: tuple[float, int] | None = None
        self._evaluating: float | None = None
        self._paused = 0.0
        self._costs: list[float] = []

    def stepped(self, done: int, now: float) -> None:
        """``done`` steps are done."""
        if self._first is None:
            self._first = (now, done)

    def evaluation_began(self, now: float) -> None:
        """An evaluation is under way; further calls until it is over change nothing."""
        if self._evaluating is None:
            self._evaluating = now

    def evaluation_over(self, step: int, now: float) -> None:
        """The evaluation after this step is done."""
        self._due.discard(step)
        if self._evaluating is None:
            return
        cost, self._evaluating = now - self._evaluating, None
        self._costs.append(cost)
        if self._first is not None:
            self._paused += cost

    def seconds(self, done: int, now: float) -> float | None:
        """Seconds left after ``done`` steps; None: not known yet."""
        if self._first is None or done <= self._first[1]:
            return None
        began, first = self._first
        running = 0.0 if self._evaluating is None else now - self._evaluating
        pace = (now - began - self._paused - running) / (done - first)
        one = sum(self._costs) / len(self._costs) if self._costs else 0.0
        # the one that runs is still among those that are due
        evaluations = max(one * len(self._due) - running, 0.0)
        return pace * max(self._stop - done, 0) + evaluations
