"""Makes the paths among a part's options absolute, so that a recipe means the same from any working folder."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from sslkit.parts.paths import is_path, user_path
from sslkit.recipe.signature import members


def absolute_paths(annotation: Any, value: Any) -> Any:
    """A typed value of an option, each path in it absolute.

    Args:
        annotation: of the option, with ``PathOption`` where paths are.
        value: as the annotation wants it.

    Raises:
        UserError: as :func:`user_path`.
    """
    kinds = members(annotation)
    if isinstance(value, str):
        return str(user_path(value)) if any(is_path(kind) for kind in kinds) else value
    if isinstance(value, dict):
        inner = next((get_args(kind)[1] for kind in kinds if get_origin(kind) is dict), Any)
        return {key: absolute_paths(inner, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        inner = next((get_args(kind) for kind in kinds if get_origin(kind) is type(value)), ())
        each = [inner[0]] * len(value) if len(inner) == 1 or Ellipsis in inner else inner
        return type(value)(absolute_paths(hint, item) for hint, item in zip(each, value, strict=False))
    return value
