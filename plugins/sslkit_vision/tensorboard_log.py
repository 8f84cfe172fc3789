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
    was logged from the checkpoint's step on; the numbers of that step itself are in the checkpoint and logged again.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._newest: list[Row] = []

    @sslkit.hookimpl
    def fit_start(self, run: RunInfo) -> None:
        """Open a new event file that purges everything from the step that the run resumes from."""
        from torch.utils.tensorboard import SummaryWriter  # here: takes longer to import than a recipe to check

        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.start_step)
        self.rows_logged([row for row in self._newest if row.step == run.start_step])

    @sslkit.hookimpl
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Add the numbers, and hand them to the operating system."""
        if self._writer is None:
            raise RuntimeError("rows were logged before fit_start")
        for row in rows:
            self._writer.add_scalar(row.name, row.value, row.step)
        self._writer.flush()
        newest = max((row.step for row in rows), default=0)
        self._newest = [row for row in dict.fromkeys([*self._newest, *rows]) if row.step == newest]

    def state_dict(self) -> dict[str, Any]:
        """The numbers of the newest step."""
        return {"newest": [[row.step, row.epoch, row.name, row.value] for row in self._newest]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._newest = [Row(*row) for row in state["newest"]]

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
