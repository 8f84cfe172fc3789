"""Every logged number as a TensorBoard scalar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sslkit
from sslkit.parts import Row, RunInfo, Watcher

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorboardLog(Watcher):
    """Writes TensorBoard events into ``tensorboard/`` in the run folder (``tensorboard --logdir runs``).

    Names keep their ``/``, which TensorBoard groups by. When a run is resumed, TensorBoard is told to forget what
    was logged after the checkpoint's step.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Open a new event file that purges everything after the step that the run resumes from."""
        from torch.utils.tensorboard import SummaryWriter  # here: takes longer to import than a recipe to check

        # a run that starts at 0 logs step 0 again
        purge = run.start_step + 1 if run.start_step else 0
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=purge)

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Add the numbers, and hand them to the operating system."""
        if self._writer is None:
            raise RuntimeError("rows were logged before fit_start")
        for row in rows:
            self._writer.add_scalar(row.name, row.value, row.step)
        self._writer.flush()

    @sslkit.hookimpl
    def fit_end(self, summary: Mapping[str, Any]) -> None:
        """Close the file."""
        self._close()

    @sslkit.hookimpl
    def run_failed(self, error: BaseException) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
