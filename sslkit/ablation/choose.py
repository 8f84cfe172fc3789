"""Which executor a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sslkit.ablation.executors import Executor
from sslkit.ablation.layout import Layout
from sslkit.errors import UserError, nearest

EXECUTORS = ("local", "submitit", "ray")


def executor_of(name: str, jobs: int | None, options: Mapping[str, Any]) -> Callable[[Layout], Executor]:
    """Makes the executor of a name, once the ablation's folder is there.

    Args:
        name: ``local``, ``submitit`` or ``ray``.
        jobs: runs at a time; None: one on this machine, as many as it takes on a cluster.
        options: of the cluster.

    Raises:
        UserError: if there is no such executor, or it takes no options.
    """
    if name not in EXECUTORS:
        raise UserError(f"--executor {name}: there is none; {nearest(name, EXECUTORS)}")
    if name == "local" and options:
        raise UserError(f"--submit {next(iter(options))}: it is for a cluster: add --executor submitit or ray")

    def make(layout: Layout) -> Executor:
        # here: neither submitit nor Ray is needed by who does not ask for it
        if name == "submitit":
            from sslkit.ablation.executors.submitted import SubmittedJobs

            return SubmittedJobs((layout.path / "jobs").absolute(), jobs, options)
        if name == "ray":
            from sslkit.ablation.executors.ray_tasks import RayTasks

            return RayTasks(jobs, options)
        from sslkit.ablation.executors.local import LocalProcesses

        return LocalProcesses(jobs or 1)

    return make
