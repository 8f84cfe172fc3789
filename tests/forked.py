"""Real processes, forked from one that has imported all that a run needs: eight seconds that they need not spend."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from plain_environment import PLAIN

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

#: Of Linux (prctl(2)): the signal that a process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1


def fork(work: Callable[[], int | None], log: Path, errors: Path | None = None) -> int:
    """A process that has imported everything already, and does this; its number.

    Args:
        work: gives its exit code; None: 0.
        log: takes what it says.
        errors: takes what it writes to standard error; None: ``log`` does.
    """
    child = os.fork()
    if child:
        return child
    code = WRONG
    try:
        os.setsid()
        if sys.platform == "linux":  # a test that fails leaves no process
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with log.open("ab") as said, (errors or log).open("ab") as complained:
            os.dup2(said.fileno(), 1)
            os.dup2(complained.fileno(), 2)
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


def fork_ranks(work: Callable[[], int], logs: Sequence[Path]) -> list[int]:
    """Ranks of one run without torchrun, as SLURM starts them, each with a log of its own; their numbers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = len(logs)

    def ranked(rank: int) -> Callable[[], int]:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}

        def its_own() -> int:
            os.environ.update({name: str(value) for name, value in places.items()}, MASTER_ADDR="127.0.0.1")
            return work()

        return its_own

    return [fork(ranked(rank), log) for rank, log in enumerate(logs)]


class Sslkit:
    """The ``sslkit`` command in a process of its own, in a session of its own.

    Args:
        folder: that it runs in.
        words: of the command.
        file_limit: bytes beyond which no file may grow.
    """

    def __init__(self, folder: Path, *words: str, file_limit: int | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder.parent))
        self._code: int | None = None

        def work() -> int:
            os.chdir(folder)
            os.environ.update(PLAIN)
            # a shell that starts the tests in its background has it ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
            return sslkit_main(*words)()

        self.pid = fork(work, self._folder / "said.txt", self._folder / "complained.txt")

    @property
    def said(self) -> str:
        """What it has written to standard output so far."""
        return self._read("said.txt")

    @property
    def complained(self) -> str:
        """What it has written to standard error so far."""
        return self._read("complained.txt")

    def _read(self, name: str) -> str:
        file = self._folder / name
        return file.read_text() if file.exists() else ""

    def send(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.alive():
            os.kill(self.pid, number)

    def code(self, seconds: float = 400) -> int:
        """See :func:`wait`."""
        if self._code is None:
            self._code = wait(self.pid, seconds)
        return self._code

    def alive(self) -> bool:
        """Whether it has not ended yet."""
        if self._code is None:
            process, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if process else None
        return self._code is None
