"""Runs what is not finished yet, so many runs at a time, wherever they happen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sslkit.ablation.display import Counts, Display
from sslkit.ablation.executors import End, Executor, Job, Task
from sslkit.ablation.glance import Glance
from sslkit.ablation.layout import Layout
from sslkit.ablation.pace import Pace
from sslkit.ablation.plan import Member
from sslkit.engine.folder_lock import holder_of
from sslkit.engine.run_folder import move_aside
from sslkit.engine.signals import StopSignals
from sslkit.errors import Stopped

#: Seconds between two looks at what runs.
_LOOK = 0.1


@dataclass(frozen=True)
class Limits:
    """When to give up.

    Attributes:
        run: minutes after which a run counts as hung; None: never.
        all: minutes after which no run begins, and those that run save and stop; None: never.
    """

    run: float | None = None
    all: float | None = None


_NEVER = Limits()


@dataclass
class _Going:
    """A run on its way; ``anew``: from its beginning."""

    job: Job
    glance: Glance
    since: float
    anew: bool


class Runner:
    """Hands runs to an executor and sees them through.

    Args:
        layout: the ablation's folder.
        executor: where runs happen.
        members: one a run, by the name of its folder.
        fresh: of them, those that are done anew; what they were is moved aside.
        flags: words for every run, such as ``--plugin FILE``.
        limits: see :class:`Limits`.
        metric: the number that is shown of what runs.
    """

    def __init__(
        self,
        layout: Layout,
        executor: Executor,
        members: Mapping[str, Member],
        *,
        fresh: Sequence[str] = (),
        flags: Sequence[str] = (),
        limits: Limits = _NEVER,
        metric: str | None = None,
    ) -> None:
        self._layout, self._executor, self._members = layout, executor, members
        self._fresh, self._flags, self._limits, self._metric = set(fresh), list(flags), limits, metric
        status = {name: layout.status(name)[0] for name in members}
        self._todo = deque(name for name in members if status[name] == "open" or name in fresh)
        done = [status[name] for name in members if name not in self._todo]
        self._counts = Counts(len(members), done.count("finished"), done.count("failed"))
        self._display, self._pace = Display(self._counts), Pace(layout, members)
        self._going: dict[str, _Going] = {}
        self._waits: set[str] = set()
        self._began = time.monotonic()

    def run(self, ended: Callable[[], object]) -> None:
        """Run what is open; whatever fails leaves its reason, and the others go on.

        Args:
            ended: is called after each run that ended.

        Raises:
            Stopped: after an interruption; runs have saved by then.
        """
        self._display.open()
        try:
            with StopSignals(self._acknowledge) as signals:
                why = self._loop(signals, ended)
        finally:
            for going in self._going.values():
                going.job.kill()
            self._display.close()
            self._executor.close()
        if signals.received:
            raise Stopped(f"{why}; the same command goes on where it was", signals.received)
        if why:
            self._display.tell(f"{why}; the same command goes on where it was")

    def _loop(self, signals: StopSignals, ended: Callable[[], object]) -> str:
        """Until all is done, or there is a reason to stop, which is returned."""
        why = ""
        while self._going or (self._todo and not why):
            if not why and (why := self._why_stop(signals)):
                self._display.tell(f"{why}: runs save first; Ctrl-C again stops them at once")
                for going in self._going.values():
                    going.job.stop()
            if not why:
                self._start()
            self._collect(bool(why), ended)
            self._counts.running = {name: going.glance for name, going in self._going.items() if going.job.began()}
            self._counts.left = self._pace.left(self._todo, self._counts.running, self._executor.slots)
            self._display.tick()
            time.sleep(_LOOK)
        return why

    def _acknowledge(self, _signal_name: str) -> None:
        """The loop looks often enough to report a signal itself."""

    def _why_stop(self, signals: StopSignals) -> str:
        if signals.received:
            return "stopped"
        if self._limits.all is not None and time.monotonic() - self._began > 60 * self._limits.all:
            return f"the budget of {self._limits.all:g} minutes is spent"
        return ""

    def _start(self) -> None:
        free = len(self._todo) if self._executor.slots is None else self._executor.slots - len(self._going)
        if free <= 0 or not self._todo:
            return
        with self._executor.together():
            for _ in range(len(self._todo)):
                name = self._todo.popleft()
                if free <= 0 or (not self._executor.knows(name) and self._held(name)):
                    self._todo.append(name)
                else:
                    free -= 1
                    self._hand_over(name)

    def _held(self, name: str) -> bool:
        """Whether another process has the run: one of a runner that was killed may still save, or train on."""
        who = holder_of(self._layout.run(name))
        if who and name not in self._waits:
            self._waits.add(name)
            self._display.tell(f"{name}: waits for {who}")
        return who is not None

    def _hand_over(self, name: str) -> None:
        member, folder = self._members[name], self._layout.run(name)
        if name in self._fresh and folder.is_dir():
            move_aside(folder)
        self._fresh.discard(name)
        anew = not folder.is_dir()
        if anew:
            self._layout.made_by(name, member.code)
        recipe = self._layout.recipe(name, member.resolved).absolute()
        words = ["fit", "--recipe", str(recipe), "--out", str(folder.absolute()), *self._flags]
        self._display.tell(f"{name}: {'begins' if anew else 'goes on'}")
        job = self._executor.start(Task(name, words, self._layout.log(name).absolute()))
        glance = Glance(folder, member.epochs, self._metric)
        self._going[name] = _Going(job, glance, time.monotonic(), anew)

    def _collect(self, stopping: bool, ended: Callable[[], object]) -> None:
        for name, going in list(self._going.items()):
            end = going.job.ended() or self._over_limit(going)
            if end is None:
                continue
            del self._going[name]
            going.glance.close()
            self._note(name, end, stopping)
            if going.anew and self._layout.summary(name):
                self._pace.took(name, time.monotonic() - going.since)
            ended()

    def _over_limit(self, going: _Going) -> End | None:
        if not going.job.began():
            going.since = time.monotonic()
        if self._limits.run is None or time.monotonic() - going.since < 60 * self._limits.run:
            return None
        going.job.kill()
        return End(f"it took longer than {self._limits.run:g} minutes")

    def _note(self, name: str, end: End, stopping: bool) -> None:
        if self._layout.summary(name):
            self._counts.finished += 1
            self._display.tell(f"{name}: finished ({self._counts.finished} of {self._counts.total})")
        elif end.stopped or stopping:
            self._display.tell(f"{name}: stopped, and goes on next time")
        elif self._held(name):
            self._todo.append(name)
        else:
            reason = end.reason or f"it ended without a summary; see {self._layout.log(name)}"
            self._layout.fail(name, reason)
            self._counts.failed += 1
            self._display.tell(f"{name}: failed: {reason}")
