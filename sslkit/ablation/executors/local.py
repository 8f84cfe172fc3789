"""Runs as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sslkit.ablation.executors.base import End, Executor, Job, Task, reason_of, share_of_cores
from sslkit.launcher import without_launcher

#: Exit codes of a run that a signal asked to save and stop: 128 + SIGINT, SIGTERM, SIGUSR1.
STOPPED_CODES = (130, 143, 138)


class LocalProcesses(Executor):
    """A process a run, which saves and stops when its runner dies (``sslkit.cli.child``).

    Args:
        jobs: side by side; each has its share of the cores, and of the GPUs where there are several.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.slots = jobs
        self._gpus = _visible_gpus()
        self._places: list[_Process | None] = [None] * jobs

    def start(self, task: Task) -> Job:
        """See :class:`Executor`."""
        place = next(i for i, job in enumerate(self._places) if job is None or job.process.poll() is not None)
        environment = {**os.environ, **share_of_cores(os.cpu_count() or 1, len(self._places))}
        if len(self._gpus) > 1:
            own = self._gpus[place :: len(self._places)] or [self._gpus[place % len(self._gpus)]]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        job = _Process(spawn(task.words, task.log, environment), task.log)
        self._places[place] = job
        return job


class _Process(Job):
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def ended(self) -> End | None:
        code = self.process.poll()
        return None if code is None else end_of(code, self._log)

    def stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def spawn(words: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start ``sslkit`` with these words, its output appended to a log; a run of its own, whoever launched this one."""
    command = [sys.executable, "-m", "sslkit.cli.child", *words]
    with log.open("ab") as file:
        # a session of its own: an interruption at the terminal reaches the runner alone, which passes it on once
        return subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=without_launcher(os.environ if environment is None else environment), start_new_session=True,
        )  # fmt: skip


def end_of(code: int, log: Path) -> End:
    """How a process ended: its exit code, negative for the signal that ended it before it listened to any."""
    if (128 - code if code < 0 else code) in STOPPED_CODES:
        return End(stopped=True)
    return End(reason_of(code, log)) if code else End()


def _visible_gpus() -> list[str]:
    import torch  # here: the command's help needs none

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
