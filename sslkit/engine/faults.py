"""What happens when a step's loss or gradients are not finite: the recipe's policy, and a snapshot to study it with."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from sslkit.data.batch import Batch
from sslkit.engine.checkpoint import Checkpoint, CheckpointStore
from sslkit.engine.distributed import barrier, is_first
from sslkit.engine.files import write_bytes
from sslkit.engine.run import Run
from sslkit.engine.saving import Saving
from sslkit.engine.standing import Standing
from sslkit.errors import NotFinite, RunError, UserError
from sslkit.parts.collectives import rank
from sslkit.parts.position import Position
from sslkit.recipe.settings import Train

log = logging.getLogger("sslkit")


class Faults:
    """Deals with steps that are not finite, on all ranks alike.

    Args:
        run: the built parts.
        train: the recipe's section, with the policy.
        saving: its checkpoints.
        folder: where snapshots go.
        classes: of the data, for heads that want to know.
    """

    def __init__(self, run: Run, train: Train, saving: Saving, folder: Path, classes: int | None) -> None:
        self._run, self._train, self._saving, self._folder, self._classes = run, train, saving, folder, classes

    def met(self, error: NotFinite, batch: Batch, at: Position, standing: Standing) -> None:
        """Put back what the forward pass moved, keep a snapshot, and skip, roll back or raise.

        Args:
            error: what is not finite.
            batch: of this rank.
            at: the step.
            standing: where the run stands, before the step.

        Raises:
            RunError: by the policy ``raise``, or after more than ``train.max_nonfinite`` such steps.
        """
        self._run.held.take_back()
        where = self._snapshot(batch, at, standing)
        standing.nonfinite += 1
        told = f"{error}; `sslkit replay {quote(str(where))}` makes this step once more and names what is not finite"
        if self._train.on_nonfinite == "raise":
            raise RunError(told, on_every_rank=True) from error
        if standing.nonfinite > self._train.max_nonfinite:
            raise RunError(
                f"{told}; that makes {standing.nonfinite} such steps, and train.max_nonfinite is "
                f"{self._train.max_nonfinite}",
                on_every_rank=True,
            ) from error
        if self._train.on_nonfinite == "rollback":
            step = self._saving.roll_back()
            log.warning("step %d is not finite: weights are those of step %d again; data go on", at.step, step)
        else:
            log.warning("step %d is not finite: it is skipped; snapshot: %s", at.step, where)

    def _snapshot(self, batch: Batch, at: Position, standing: Standing) -> Path:
        """The state before the step as a checkpoint, and every rank's batch beside it."""
        folder = self._folder / f"step-{at.step:08d}"
        if is_first():
            self._saving.snapshot(self._folder, standing)
        barrier()
        content = io.BytesIO()
        torch.save(
            {**self._plain(batch), "at": [at.step, at.total, at.steps_per_epoch], "classes": self._classes}, content
        )
        # not torch.save to the file: a full disk would be a RuntimeError there
        write_bytes(folder / f"batch-{rank()}.pt", content.getvalue())
        barrier()
        return folder

    def _plain(self, batch: Batch) -> dict[str, Any]:
        """Tensors alone, which load without running code."""
        views = batch.to(self._run.device).views(self._run.augmenter)
        return {
            "pixels": {size: pixels.cpu() for size, pixels in views.items()},
            "indices": batch.indices.cpu(),
            "labels": None if batch.labels is None else batch.labels.cpu(),
        }


@dataclass(frozen=True)
class Snapshot:
    """A step that was not finite.

    Attributes:
        batch: of all ranks, in their order.
        at: the step.
        classes: of the data.
        checkpoint: the state before it.
    """

    batch: Batch
    at: Position
    classes: int | None
    checkpoint: Checkpoint


def read_snapshot(folder: Path) -> Snapshot:
    """What :class:`Faults` has kept.

    Raises:
        UserError: if that is no snapshot, or a damaged one.
    """
    step = folder.name.removeprefix("step-")
    files = sorted(folder.glob("batch-*.pt"), key=lambda file: int(file.stem.removeprefix("batch-")))
    if not step.isdigit() or not files:
        raise UserError(f"{folder}: is no snapshot; name a folder as runs/NAME/snapshots/step-00000120")
    checkpoint = CheckpointStore(folder.parent).load(int(step))
    if checkpoint is None:
        raise UserError(f"{folder}: the snapshot is damaged: its files differ from its manifest")
    parts = [torch.load(file, map_location="cpu", weights_only=True) for file in files]
    pixels = {size: torch.cat([part["pixels"][size] for part in parts], dim=1) for size in parts[0]["pixels"]}
    labels = None if parts[0]["labels"] is None else torch.cat([part["labels"] for part in parts])
    batch = Batch(pixels, torch.cat([part["indices"] for part in parts]), labels)
    return Snapshot(batch, Position(*parts[0]["at"]), parts[0]["classes"], checkpoint)
