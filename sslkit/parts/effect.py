"""What changing an option in the middle of a run does: a mark that the author of a part puts on the option."""

from __future__ import annotations

from enum import Enum


class Effect(Enum):
    """Mark an option whose value may differ when a run is continued; an unmarked option that differs is refused.

    ``recompute: Annotated[bool, Effect.ROUNDING] = False`` in the signature of ``__init__``.

    Attributes:
        NONE: no number of the run changes: where a file lies, how long to wait for a disk.
        ROUNDING: the same mathematics in another order: last bits of the numbers may change, and no more.
    """

    NONE = "changes no number"
    ROUNDING = "changes rounding at most"
