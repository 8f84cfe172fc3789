"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from sslkit.errors import UserError


def home_path(text: str | Path) -> Path:
    """A path with its leading ``~`` or ``~user`` replaced by that home folder; any other path as it is written.

    A shell does this for the words that begin with a tilde, but not inside ``--out=~/r``, quotes, recipes or Python.

    Raises:
        UserError: if there is no such user.
    """
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        user = path.parts[0]
        raise UserError(
            f"{path}: there is no user {user[1:]!r} whose home folder this could be; write ./{path} for a folder "
            f"that is called {user!r}"
        ) from None
