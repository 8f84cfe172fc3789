"""``python -m sslkit.cli.child ...``: the ``sslkit`` command as a runner starts it, which does not outlive it.

A runner that is killed cannot tell its processes; the kernel does: each saves and stops, as after any SIGTERM. Where
memory runs out, the kernel takes a run and spares the runner, which tells of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from pathlib import Path

from sslkit.cli.main import console

#: ``PR_SET_PDEATHSIG`` of Linux's prctl(2).
_SIGNAL_WHEN_THE_PARENT_DIES = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SIGNAL_WHEN_THE_PARENT_DIES, int(signal.SIGTERM))
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
    console()
