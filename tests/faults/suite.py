"""What a suite of faults is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """Faults of one kind.

    Attributes:
        name: of it.
        target: what must hold, in words.
        count: cases of the whole campaign.
        first: cases of it that CI runs.
        case: does the fault of this number in a folder of its own.

    Raises:
        AssertionError: by ``case``, if the target is missed.
    """

    name: str
    target: str
    count: int
    first: int
    case: Callable[[int, Path], None]
