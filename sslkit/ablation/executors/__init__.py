"""Where the runs of an ablation happen: processes of this machine, a SLURM cluster, or a Ray cluster."""

from __future__ import annotations

from sslkit.ablation.executors.base import End, Executor, Job, Task

__all__ = ["End", "Executor", "Job", "Task"]
