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
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"{str(text)!r}: there is no user of that name; ./~NAME is a folder called ~NAME") from error
    except FileNotFoundError as error:
        raise UserError(f"{str(text)!r} is relative, and the working folder has been deleted") from error


def is_path(annotation: Any) -> bool:
    """Whether an annotation is :data:`PathOption` itself."""
    return get_origin(annotation) is Annotated and PATH in get_args(annotation)
