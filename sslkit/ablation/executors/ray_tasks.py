"""Runs as tasks of a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sslkit.ablation.executors.base import End, Executor, Job, Task, share_of_cores
from sslkit.ablation.executors.local import end_of, spawn
from sslkit.errors import UserError


class RayTasks(Executor):
    """A task a run, on a cluster that runs, or on one of this machine that is begun for it.

    Args:
        jobs: at most so many at a time; None: as many as the cluster takes.
        options: ``address`` of a cluster (by default Ray's own rule: the variable ``RAY_ADDRESS``, else this machine
            alone), and Ray's options of a task, such as ``num_cpus``, ``num_gpus``, ``resources``.

    Raises:
        UserError: if Ray is not installed, finds no cluster, or knows an option not.
    """

    def __init__(self, jobs: int | None, options: Mapping[str, Any]) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise UserError("--executor ray needs Ray: pip install 'sslkit[ray]'") from error
        self._ray, self.slots = ray, jobs
        given = dict(options)
        address = given.pop("address", None)
        self._began = not ray.is_initialized()
        try:
            if self._began:
                ray.init(address=address, log_to_driver=False, include_dashboard=False, configure_logging=False)
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)) // (jobs or 1)) if jobs else 1
            options = {"num_cpus": cores, "max_retries": 0, "name": "sslkit fit"} | given
            self._run = ray.remote(**options)(_run)
        except (ConnectionError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"--executor ray: Ray says: {' '.join(str(error).split())}") from error
        self._share = share_of_cores(cores, 1)

    def start(self, task: Task) -> Job:
        """See :class:`Executor`."""
        return _Task(self._ray, self._run.remote(list(task.words), task.log, dict(self._share)), task.log)

    def close(self) -> None:
        """End the cluster, if it was begun for this."""
        if self._began:
            self._ray.shutdown()


class _Task(Job):
    def __init__(self, ray: Any, reference: Any, log: Path) -> None:
        self._ray, self._reference, self._log, self._since = ray, reference, log, time.time()

    def ended(self) -> End | None:
        done, _ = self._ray.wait([self._reference], timeout=0)
        if not done:
            return None
        try:
            return end_of(self._ray.get(self._reference), self._log)
        except self._ray.exceptions.TaskCancelledError:
            return End(stopped=True)
        except self._ray.exceptions.RayError as error:
            return End(f"its Ray task was lost: {' '.join(str(error).split())[:300]}")

    def began(self) -> bool:
        return self._log.is_file() and self._log.stat().st_mtime >= self._since - 1

    def stop(self) -> None:
        self._ray.cancel(self._reference)

    def kill(self) -> None:
        self._ray.cancel(self._reference, force=True)


def _run(words: Sequence[str], log: Path, variables: dict[str, str]) -> int:
    """In a worker of Ray: one run as a process of its own; the exit code."""
    child = spawn(words, log, {**os.environ, **variables})
    try:
        return child.wait()
    except KeyboardInterrupt:  # how Ray cancels
        child.terminate()
        return child.wait()
