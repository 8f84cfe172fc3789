"""The errors that a user meets: one clear sentence each, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake a user can mend: what is wrong, where, and what would be right.

    The command line prints the message alone and exits with code 2.

    Args:
        message: one sentence.
        on_every_rank: whether all processes of a distributed run meet it alike, so that the first one speaks for all.
    """

    def __init__(self, message: str, *, on_every_rank: bool = True) -> None:
        super().__init__(message)
        self.on_every_rank = on_every_rank


class RunError(Exception):
    """A run that cannot go on (a non-finite loss, a failing part): the command line exits with code 1.

    Args:
        message: one sentence.
        on_every_rank: as in :class:`UserError`; what goes wrong in a run mostly does so in one process.
    """

    def __init__(self, message: str, *, on_every_rank: bool = False) -> None:
        super().__init__(message)
        self.on_every_rank = on_every_rank


class NotFinite(RunError):
    """A step's loss, a gradient, or what a loss's buffers would be moved by is not finite; nothing was moved."""


class Stopped(Exception):
    """A run that a signal stopped; the message says what is saved.

    The command line exits with 128 + the signal's number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


#: Names that an error sentence lists at most.
_LISTED = 12
_CONTAINING = 5


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the known names that are near, else the list of all of them.

    Capitals do not count, nor whether words are joined by ``-`` or ``_``. Where no name is near as a whole, those that
    contain the given one are: ``dino`` finds ``dino_vits16``.
    """
    names = sorted(known)
    alike = {_bare(other): other for other in reversed(names)}
    close = difflib.get_close_matches(_bare(name), alike, n=1, cutoff=0.6)
    if close:
        return f"did you mean {alike[close[0]]!r}?"
    if not names:
        return "there are none"
    containing = [other for other in names if len(name) > 2 and _bare(name) in _bare(other)]
    if containing:
        *most, last = [repr(other) for other in containing[:_CONTAINING]]
        return f"did you mean {', '.join(most)} or {last}?" if most else f"did you mean {last}?"
    shown = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return f"known: {shown}"


def _bare(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def lost_process(error: BaseException, when: str) -> RunError | None:
    """What an error of torch's collectives means; None if it is none of theirs.

    Args:
        error: whatever was raised.
        when: such as ``at step 7``.
    """
    if any(cls.__name__ == "DistError" for cls in type(error).__mro__) or "gloo" in str(error):
        return RunError(f"another process of this run failed or was lost {when}; see its own message")
    return None


@contextmanager
def blame(part: str, when: str) -> Iterator[None]:
    """Turn whatever a part raises into a RunError that names it; sslkit's own errors pass.

    Args:
        part: such as ``the loss 'x'``.
        when: such as ``at step 7``.
    """
    try:
        yield
    except (UserError, RunError):
        raise
    except (Exception, SystemExit) as error:  # a part that exits would end the run without a word
        if (lost := lost_process(error, when)) is not None:
            raise lost from error
        raise RunError(f"{part} failed {when}: {type(error).__name__}: {error}") from error
