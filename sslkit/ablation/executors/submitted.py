"""Runs as jobs of a SLURM cluster, by submitit; without a cluster as submitit's local jobs."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sslkit.ablation.executors.base import End, Executor, Job, Task
from sslkit.ablation.executors.local import end_of, spawn
from sslkit.engine.files import write_text
from sslkit.errors import UserError

_WARNED = 128 + signal.SIGUSR1


class SubmittedJobs(Executor):
    """A job a run; all that are ready are one array.

    A job of a runner that was killed goes on in the queue: the next runner takes it over by its number.

    Args:
        folder: for submitit's files.
        jobs: at most so many at a time; None: as many as the cluster takes.
        options: submitit's parameters, such as ``slurm_partition``, ``gpus_per_node``, ``timeout_min``; and
            ``cluster``: ``slurm``, ``local`` (jobs of this machine) or ``debug``; by default slurm where there is one.

    Raises:
        UserError: if submitit is not installed, or knows a parameter not.
    """

    def __init__(self, folder: Path, jobs: int | None, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise UserError("--executor submitit needs submitit: pip install 'sslkit[slurm]'") from error
        given: dict[str, Any] = {"timeout_min": 24 * 60, "slurm_signal_delay_s": 180, "name": "sslkit"} | dict(options)
        cluster = given.pop("cluster", None)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            if self._executor.cluster == "slurm" and jobs is not None:
                given["slurm_array_parallelism"] = jobs
            self._executor.update_parameters(**given)
        except (NameError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"--submit: submitit says: {' '.join(str(error).split())}") from error
        # submitit's local jobs have no queue that would share them out
        self.slots = None if self._executor.cluster == "slurm" else jobs or 1

    @contextmanager
    def together(self) -> Iterator[None]:
        """See :class:`Executor`."""
        with warnings.catch_warnings():
            # all may be in the queue already
            warnings.filterwarnings("ignore", message="No submission happened")
            with self._executor.batch():
                yield

    def start(self, task: Task) -> Job:
        """See :class:`Executor`."""
        job = self._still_there(task.name) or self._executor.submit(Fit(task.words, task.log))
        return _Submitted(job, task.log, self._number(task.name))

    def knows(self, name: str) -> bool:
        """See :class:`Executor`."""
        return self._still_there(name) is not None

    def _number(self, name: str) -> Path:
        return self.folder / f"{name}.job"

    def _still_there(self, name: str) -> Any:
        """The job of an earlier runner for this run, if the cluster has not done it yet."""
        number = self._number(name)
        if self._executor.cluster != "slurm" or not number.is_file():
            return None
        job = self._executor._executor.job_class(self.folder, number.read_text("utf-8").strip())
        return None if job.done(force_check=True) else job


class _Submitted(Job):
    def __init__(self, job: Any, log: Path, number: Path) -> None:
        self._job, self._log, self._number, self._noted = job, log, number, False

    def ended(self) -> End | None:
        if not self._noted:
            # an array has its numbers when it is submitted, after the block of `together`
            write_text(self._number, f"{self._job.job_id}\n")
            self._noted = True
        if not self._job.done():
            return None
        error = self._job.exception()
        if error is not None:
            where = self._job.paths.stderr
            return End(f"its job {self._job.job_id} ended as {self._job.state} without a result; see {where}")
        return end_of(self._job.result(), self._log)

    def began(self) -> bool:
        return str(self._job.state).upper() not in ("PENDING", "UNKNOWN", "REQUEUED")

    def stop(self) -> None:
        # a local job's own `cancel` gives it one second
        process = getattr(self._job, "_process", None)
        if process is not None:
            process.terminate()
        else:
            self._job.cancel(check=False)

    def kill(self) -> None:
        self._job.cancel(check=False)


class Fit:
    """What a job does: one run. SLURM's warning makes it save, and queues the job again.

    Args:
        words: of ``sslkit``.
        log: the file that takes what it says.
    """

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.words, self.log = words, log

    def __call__(self) -> int:
        """The run's exit code."""
        requeue, warned = signal.getsignal(signal.SIGUSR2), False
        # SLURM warns all processes of a job; the run is to hear of it from here, as a USR1, and would die of a USR2
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        child = spawn(self.words, self.log)

        def pass_on(number: int, _frame: FrameType | None) -> None:
            nonlocal warned
            warned = warned or number == signal.SIGUSR2
            child.send_signal(signal.SIGUSR1 if number == signal.SIGUSR2 else number)

        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        code = child.wait()
        signal.signal(signal.SIGUSR2, requeue)
        # one that had not begun to listen had nothing to save
        if warned and code in (_WARNED, -signal.SIGUSR1):
            os.kill(os.getpid(), signal.SIGUSR2)
        return code

    def checkpoint(self) -> Any:
        """What submitit queues again: the same run, which goes on in its folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
