"""What a runner needs of a place where runs happen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """One run to be done.

    Attributes:
        name: of its folder.
        words: of ``sslkit fit``, paths absolute: the run may happen on another machine.
        log: the file that takes what it says, appended.
    """

    name: str
    words: Sequence[str]
    log: Path


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
        reason: why it did not finish; None: it did, or was asked to stop and saved.
        stopped: whether it was asked to stop.
    """

    reason: str | None = None
    stopped: bool = False


class Job(ABC):
    """A run that was handed over."""

    @abstractmethod
    def ended(self) -> End | None:
        """How it ended; None while it waits or runs."""

    def began(self) -> bool:
        """Whether it runs by now, and does not wait for a place."""
        return True

    @abstractmethod
    def stop(self) -> None:
        """Ask it to save and stop."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""


class Executor(ABC):
    """Hands runs over.

    Attributes:
        slots: how many may be handed over at a time; None: all, since a queue of its own shares them out.
    """

    slots: int | None

    @abstractmethod
    def start(self, task: Task) -> Job:
        """Hand a run over.

        Raises:
            UserError: if that place takes none.
        """

    def knows(self, name: str) -> bool:
        """Whether an earlier runner handed this run over, and it is still on its way: `start` takes it up again."""
        return False

    def together(self) -> AbstractContextManager[object]:
        """What is handed over within this block is submitted as one."""
        return nullcontext()

    def close(self) -> None:  # noqa: B027
        """All runs have ended."""


def reason_of(code: int, log: Path) -> str:
    """Why a process failed, from its exit code and from what it said.

    Args:
        code: not 0; negative: the signal that ended it.
        log: what it said.
    """
    if code < 0:
        return f"it was ended by signal {-code}{' (out of memory?)' if code == -9 else ''}"
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.is_file() else []
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return told[-1] if told else f"it ended with exit code {code}; see {log}"


def share_of_cores(cores: int, jobs: int) -> Mapping[str, str]:
    """Environment variables of one of ``jobs`` processes that share so many cores."""
    return {"OMP_NUM_THREADS": str(max(1, cores // jobs)), "NO_COLOR": "1"}
