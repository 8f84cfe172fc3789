"""Says whose error it is: a part's exception becomes one sentence that names the part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sslkit.errors import RunError, UserError


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
    except Exception as error:
        raise RunError(f"{part} failed {when}: {type(error).__name__}: {error}") from error
