"""How long runs take, as far as that is known yet."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping

from sslkit.ablation.glance import Glance
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member

#: Share of a run after which its own pace counts.
_ENOUGH = 0.05


class Pace:
    """Learns from runs that ended, and from those that run, what the others will take.

    Args:
        layout: the ablation's folder.
        members: one a run, by name.
    """

    def __init__(self, layout: Layout, members: Mapping[str, Member]) -> None:
        self._members = members
        self._per_step: dict[str, float] = {}
        for name, member in members.items():
            seconds = layout.summary(name).get("seconds")
            if seconds:
                self._per_step[name] = float(seconds) / member.steps
        self._first: dict[str, tuple[float, float]] = {}

    def took(self, name: str, seconds: float) -> None:
        """A run took so long, from its beginning to its end."""
        self._per_step[name] = seconds / self._members[name].steps

    def expected(self, name: str) -> float | None:
        """Seconds of a run: like those of its cell, else like all of them step by step; None if nothing is known."""
        member = self._members[name]
        alike = [per for other, per in self._per_step.items() if self._members[other].cell == member.cell]
        known = alike or list(self._per_step.values())
        return statistics.fmean(known) * member.steps if known else None

    def left(self, waiting: Iterable[str], running: Mapping[str, Glance], slots: int | None) -> float | None:
        """Seconds until all are done; None where that cannot be told yet."""
        rest = [self._rest(name, glance) for name, glance in running.items()]
        rest += [self.expected(name) for name in waiting]
        known = [seconds for seconds in rest if seconds is not None]
        if not rest or len(known) < len(rest):
            return None
        return max(max(known), sum(known) / min(slots or len(rest), len(rest)))

    def _rest(self, name: str, glance: Glance) -> float | None:
        now, share = time.monotonic(), glance.share
        began, at = self._first.setdefault(name, (now, share))
        if share - at >= _ENOUGH:
            whole = (now - began) / (share - at)
            self._per_step.setdefault(name, whole / self._members[name].steps)
            return whole * (1 - share)
        whole_of_others = self.expected(name)
        return None if whole_of_others is None else whole_of_others * (1 - share)
