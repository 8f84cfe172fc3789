"""Builds one part from its options and the context that its kind's contract names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sslkit.engine.promises import check_attributes
from sslkit.errors import UserError
from sslkit.parts.kinds import KINDS
from sslkit.recipe.model import PartSpec


def construct(spec: PartSpec, context: Mapping[str, Any] | None = None) -> Any:
    """Build a part from its options and those context values that its ``__init__`` asks for.

    Raises:
        UserError: if the part refuses its options, with the recipe's place in front.
    """
    wanted = inspect.signature(spec.target).parameters
    given = {key: value for key, value in (context or {}).items() if key in wanted}
    required = [key for key in wanted if wanted[key].default is inspect.Parameter.empty]
    missing = [key for key in required if key in KINDS[spec.kind].context and given.get(key) is None]
    if missing:
        raise UserError(f"{spec.where}: the {spec.kind} {spec.name!r} needs {_REASONS.get(missing[0], missing[0])}")
    options = {key: construct(value) if isinstance(value, PartSpec) else value for key, value in spec.options.items()}
    try:
        part = spec.target(**options, **given)
    except UserError as error:
        raise UserError(spec.located(str(error))) from error
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{spec.where}: the {spec.kind} {spec.name!r} refuses its options: {type(error).__name__}: {error}"
        ) from error
    check_attributes(spec, part)
    return part


_REASONS = {
    "classes": "labels, and the data set has none",
    "in_dim": "something to work on (a predictor needs a head)",
    "out_dim": "the section head",
    "teacher_out_dim": "a teacher with a head",
    "prediction_dim": "the section predictor",
    "predict": "the section predictor",
}
