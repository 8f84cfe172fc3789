"""Paths that a user gave: the annotation of options that hold one, and how the text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from sslkit.errors import UserError

#: Marks text as a path; see :data:`PathOption`.
PATH = object()

#: The annotation of an option that names a file or folder, as in ``root: PathOption`` or ``list[PathOption]``: plain
#: ``str`` to the part. The recipe stores it absolute, so that ``recipe.yaml`` means the same from any working folder.
PathOption = Annotated[str, PATH]


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
            f"{str(path)!r}: there is no user {user[1:]!r} whose home folder this could be; write ./{path} for a "
            f"folder that is called {user!r}"
        ) from None


def user_path(text: str | Path) -> Path:
    """The absolute path that a user means: relative ones start at the working folder, ``~`` is the home folder.

    Raises:
        UserError: if it is empty, names an unknown user, or cannot be a path.
    """
    if not str(text):
        raise UserError("the path is empty; name a file or folder")
    if "\0" in str(text):
        raise UserError(f"{str(text)!r} cannot be a path: it holds a NUL character")
    try:
        return home_path(text).absolute()
    except FileNotFoundError as error:
        raise UserError(f"{str(text)!r} is relative, and the working folder has been deleted") from error


def is_path(annotation: Any) -> bool:
    """Whether an annotation is :data:`PathOption` itself."""
    return get_origin(annotation) is Annotated and PATH in get_args(annotation)
