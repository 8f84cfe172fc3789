"""What a failure of torch.compile means."""

from __future__ import annotations

from sslkit.errors import RunError

_COMPILER = ("torch._dynamo", "torch._inductor")


def compile_failure(error: BaseException, at: str) -> RunError | None:
    """The error as one sentence; None if the compiler has not raised it.

    Args:
        error: whatever a net raised.
        at: such as ``at step 7``.
    """
    if not any(cls.__module__.startswith(_COMPILER) for cls in type(error).__mro__):
        return None
    # what follows the first blank line is advice to developers of torch
    first = " ".join(str(error).strip().partition("\n\n")[0].split())
    return RunError(
        f"torch.compile failed {at}: {type(error).__name__}: {first}; with train.compile false the same run goes on "
        "without it"
    )
