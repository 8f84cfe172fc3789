"""Which process of a run this is: what torchrun, SLURM scripts and others put into the environment. Free of torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sslkit.errors import UserError

#: What a launcher sets for each process; the run's own processes must not pass it on to runs that they start.
VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAST_PORT = 65535


@dataclass(frozen=True)
class Launched:
    """The place of this process among those of a run.

    Attributes:
        processes: of the whole run (``WORLD_SIZE``); 1: no launcher.
        rank: which of them this is (``RANK``), from 0.
        local_rank: which of those on this machine (``LOCAL_RANK``); None: not given.
        on_machine: processes on this machine (``LOCAL_WORLD_SIZE``); 1 where it is not given.
    """

    processes: int = 1
    rank: int = 0
    local_rank: int | None = None
    on_machine: int = 1


def launched(environment: Mapping[str, str] | None = None) -> Launched:
    """Read the launcher's variables; an empty one counts as unset.

    Args:
        environment: None: this process's.

    Raises:
        UserError: if some of them are missing, are no numbers or contradict each other.
    """
    given = os.environ if environment is None else environment
    processes = _number(given, "WORLD_SIZE", 1)
    rank, local = _number(given, "RANK", 0), _number(given, "LOCAL_RANK", 0)
    on_machine = _number(given, "LOCAL_WORLD_SIZE", 1)
    if processes is None and rank:
        raise UserError(_apart(f"RANK is {rank}", ["WORLD_SIZE"]))
    if processes not in (None, 1):
        missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not given.get(name, "").strip()]
        if missing:
            raise UserError(_apart(f"WORLD_SIZE is {processes}", missing))
        if not 1 <= (_number(given, "MASTER_PORT", 0) or 0) <= _LAST_PORT:
            raise UserError(f"MASTER_PORT is {given['MASTER_PORT']}: expected the number of a port, 1 to {_LAST_PORT}")
    if rank is not None and rank >= (processes or 1):
        raise UserError(
            f"RANK is {rank}, but WORLD_SIZE is {processes or 1}: ranks count from 0 to {(processes or 1) - 1}"
        )
    return Launched(processes or 1, rank or 0, local, on_machine or 1)


def speaks() -> bool:
    """Whether this process reports what all processes of a run meet alike; variables that make no sense count as one
    process, so that the error about them is seen."""
    try:
        return launched().rank == 0
    except UserError:
        return True


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that is a run of its own."""
    return {
        name: value
        for name, value in environment.items()
        if name not in VARIABLES and not name.startswith("TORCHELASTIC_")
    }


def _number(given: Mapping[str, str], name: str, least: int) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise UserError(
            f"the environment variable {name} is {text!r}: expected an integer >= {least}; torchrun sets it, and "
            f"`unset {name}` clears it"
        )
    return number


def _apart(given: str, missing: list[str]) -> str:
    *first, last = missing
    names = f"{', '.join(first)} and {last} are" if first else f"{last} is"
    name = given.split()[0]
    return (
        f"{given} in the environment, but {names} not set: start several processes with torchrun, which sets all of "
        f"them, or `unset {name}` for one process"
    )
