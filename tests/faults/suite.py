"""What a suite of faults is, and processes to do them to."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

# what a run imports on its way: eight seconds that a forked process need not spend
for _name in (
    "rich",
    "sslkit.cli.main",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
):
    import_module(_name)

#: Exit code of a child whose check failed.
WRONG = 97


@dataclass(frozen=True)
class Suite:
    """Faults of one kind.

    Attributes:
        name: of it.
        target: what must hold, in words.
        count: cases of the whole campaign.
        first: cases of it that CI runs.
        case: does the fault of this number in a folder of its own.

    Raises:
        AssertionError: by ``case``, if the target is missed.
    """

    name: str
    target: str
    count: int
    first: int
    case: Callable[[int, Path], None]


def fork(work: Callable[[], int | None], log: Path) -> int:
    """A process that has imported everything already, and does this; its number.

    Args:
        work: gives its exit code; None: 0.
        log: takes what it says.
    """
    child = os.fork()
    if child:
        return child
    code = WRONG
    try:
        os.setsid()
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        # whoever reads what the tests print has put his own in their place
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        code = work() or 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, seconds: float = 300) -> int:
    """The exit code of a forked process; negative: the signal that ended it. One that takes longer is killed.

    Raises:
        AssertionError: if it was.
    """
    deadline = time.monotonic() + seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"a process was still there after {seconds} s")
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


def kill(child: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def kill_group(child: int, number: int) -> None:
    """Send a signal to a forked process and all of its own, as timeout(1) and some schedulers do."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, number)


def sslkit_main(*words: str) -> Callable[[], int]:
    """The command line in a forked process."""

    def work() -> int:
        import rich

        from sslkit.cli.main import main

        rich.reconfigure()  # a console that writes to where standard output leads now
        return main(words)

    return work
