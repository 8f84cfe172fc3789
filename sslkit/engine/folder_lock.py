"""A folder that one process at a time may write to."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from sslkit.errors import UserError

#: Seconds in which the loader processes of a killed run notice that it is gone (torch looks every 5): they hold the
#: folder's lock until then.
_LINGER = 20.0


class FolderLock:
    """The lock ``.lock`` of a folder, which the system takes back when its process ends in whatever way.

    Args:
        folder: an existing one.
        busy: the message where another process that lives has it.
    """

    def __init__(self, folder: Path, busy: str) -> None:
        self._file: IO[str] | None = None
        lock = (folder / ".lock").open("a+")
        deadline = time.monotonic() + _LINGER
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                if _alive(lock.read()) or time.monotonic() > deadline:
                    lock.close()
                    raise UserError(busy) from None
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._file = lock

    def release(self) -> None:
        """Let other processes have the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _alive(pid: str) -> bool:
    """Whether the process that has locked a folder still runs; yes, where that cannot be known."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True
