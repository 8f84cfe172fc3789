"""A folder that one process at a time may write to."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sslkit.errors import UserError

#: Seconds in which the loader processes of a killed run notice that it is gone (torch looks every 5): they hold the
#: folder's lock until then.
_LINGER = 20.0


class FolderLock:
    """The lock ``.lock`` of a folder, which the system takes back when its process ends in whatever way.

    Args:
        folder: an existing one.
        busy: the message where another process that lives has it; ``{who}`` in it becomes its host, process and since
            when.
    """

    def __init__(self, folder: Path, busy: str) -> None:
        self._file: IO[str] | None = None
        lock = (folder / ".lock").open("a+", encoding="utf-8")
        deadline = time.monotonic() + _LINGER
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                holder = _holder(lock.read())
                if _alive(holder) or time.monotonic() > deadline:
                    lock.close()
                    raise UserError(busy.replace("{who}", _who(holder))) from None
            time.sleep(0.1)
        lock.truncate(0)
        json.dump({"host": platform.node(), "pid": os.getpid(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}, lock)
        lock.flush()
        self._file = lock

    def release(self) -> None:
        """Let other processes have the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(text: str) -> dict[str, Any]:
    """What the process that has locked a folder wrote there; empty where that cannot be read."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.keys() >= {"host", "pid", "since"} else {}


def _who(holder: dict[str, Any]) -> str:
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}" if holder else "another process"


def _alive(holder: dict[str, Any]) -> bool:
    """Whether the process that has locked a folder still runs; yes, where that cannot be known."""
    if not holder or holder["host"] != platform.node():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True


def holder_of(folder: Path) -> str | None:
    """Which living process has locked a folder; None if none has, or there is no such folder."""
    if not (folder / ".lock").is_file():
        return None
    with (folder / ".lock").open("r", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _who(_holder(lock.read()))
    return None
