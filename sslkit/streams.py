"""Standard streams that are closed, full or without a reader: none of them may end a run. Free of everything heavy."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TextIO


def open_closed() -> None:
    """Let the standard streams that this process was started without (``>&-``) lead nowhere.

    Else the first file that it opens gets the number of a standard stream, and whatever a library prints goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number: this one
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def failure(stream: TextIO | None) -> OSError | None:
    """Why what was written to a stream cannot leave; None if it can. A stream that fails leads nowhere from now on,
    because what it still holds would fail again at the end of the process."""
    if stream is None:
        return None
    try:
        stream.flush()
    except ValueError:  # closed in this process
        return None
    except OSError as error:
        silence(stream)
        return error
    return None


def unread(stream: TextIO | None) -> bool:
    """Whether a stream is a pipe whose reader has gone."""
    try:
        look = select.poll()
        look.register(stream, 0)  # type: ignore[arg-type]
        return any(event & select.POLLERR for _, event in look.poll(0))
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def silence(stream: TextIO | None) -> None:
    """Let a stream lead nowhere."""
    # there may be none, or it may be no file
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def complain(text: str) -> None:
    """A line on standard error, if that can be written."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        silence(sys.stderr)
