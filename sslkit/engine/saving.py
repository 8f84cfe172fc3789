"""When a run is saved, and how it is put into a checkpoint and taken up again."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from sslkit.engine.checkpoint import Checkpoint, CheckpointStore, copied, restore, weights_of
from sslkit.engine.distributed import barrier, is_first
from sslkit.engine.hooks import Watching
from sslkit.engine.run import Run
from sslkit.engine.standing import Best, Standing
from sslkit.errors import RunError, UserError, nearest
from sslkit.parts.collectives import gather_items
from sslkit.recipe.settings import Checkpointing

log = logging.getLogger("sslkit")
#: Weights; states of optimizer, scaler and teacher rule; the standing as plain data; the best checkpoint's step.
_Contents = tuple[dict[str, Tensor], dict[str, Any], dict[str, Any], int | None]


class Saving:
    """The checkpoints of one run.

    Args:
        run: the built parts.
        checkpoint: the recipe's section.
        store: where checkpoints go.
        watching: the watchers, whose state is saved too.
    """

    def __init__(self, run: Run, checkpoint: Checkpointing, store: CheckpointStore, watching: Watching) -> None:
        self.run, self.checkpoint, self.store, self.watching = run, checkpoint, store, watching
        self._saved_at = time.monotonic()
        wanted = checkpoint.background
        # a CPU's cores train: a thread beside them would take from one what it gives to the other
        self._background = run.device.type != "cpu" if wanted is None else wanted
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[Path] | None = None

    def resume(self, data: str) -> Standing | None:
        """Take up the newest whole checkpoint; None if there is none.

        Args:
            data: the fingerprint of the images that the run is to go on with.

        Raises:
            UserError: if they are not what the run began with.
            RunError: if the checkpoint does not fit, or the ranks do not see the same one.
        """
        if is_first():
            self.store.repair()
        # the first rank puts damaged checkpoints aside before the others look
        barrier()
        found = self.store.newest()
        _agree(found.state["step"] if found else None)
        if found is None:
            return None
        state = dict(found.state)
        watchers = state.pop("watchers", {})
        standing = Standing.from_data(state)
        if standing.data != data:
            raise UserError(
                f"the run began with other images ({standing.data}, now {data}: number, and digest of names): bring "
                "them back, or start anew with --fresh or another --out"
            )
        self.watching.load_state_dict(watchers)
        take_up(self.run, found)
        self.run.guard.back_offs = standing.back_offs
        if standing.best and standing.best.of != self._best_of():
            standing.best = None
        return standing

    def save(self, standing: Standing, goes_on: bool = False) -> None:
        """Publish a checkpoint (on the first rank).

        Args:
            standing: where the run stands.
            goes_on: whether the next step follows at once: with ``checkpoint.background`` everything is copied then,
                and written while the training goes on.

        Raises:
            RunError: if it, or one that was still being written, cannot be saved.
        """
        self._saved_at = time.monotonic()
        self.wait()
        if is_first():
            behind = goes_on and self._background
            contents = self._contents(standing, copy=behind)
            if behind:
                self._pending = self._writer.submit(self.store.save, *contents)
            else:
                self.store.save(*contents)

    def check(self) -> None:
        """Raise what became of a checkpoint that was written in the background, once it is known."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Let a checkpoint that is being written come to its end.

        Raises:
            RunError: if it could not be saved.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """The same for a run that has ended, maybe by an error of its own, which stays the one that is told."""
        try:
            self.wait()
        except RunError as error:
            log.warning("%s", error)
        self._writer.shutdown()

    def snapshot(self, folder: Path, standing: Standing) -> None:
        """The same in another folder, which keeps the last two."""
        CheckpointStore(folder).save(*self._contents(standing))

    def _contents(self, standing: Standing, copy: bool = False) -> _Contents:
        """What :meth:`CheckpointStore.save` takes."""
        optimizer = {
            "optimizer": self.run.optimizer.state_dict(),
            "scaler": self.run.precision.scaler.state_dict(),
            "rule": self.run.rule.state_dict() if self.run.rule else {},
        }
        state = {**standing.as_data(), "watchers": self.watching.state_dict()}
        best = standing.best.step if standing.best else None
        return weights_of(self.run.modules(), copy), copied(optimizer) if copy else optimizer, state, best

    def roll_back(self) -> int:
        """Take weights, buffers, optimizer and teacher rule of the newest whole checkpoint; its step.

        Raises:
            RunError: if there is none yet, or one that was being written could not be saved.
        """
        self.wait()
        # the other ranks look when it is there
        barrier()
        found = self.store.newest()
        _agree(found.state["step"] if found else None)
        if found is None:
            raise RunError("train.on_nonfinite is rollback, and there is no checkpoint yet", on_every_rank=True)
        take_up(self.run, found)
        return int(found.state["step"])

    def due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether the recipe's number of steps or epochs has passed when ``step`` steps are done."""
        when = self.checkpoint
        by_steps = when.every_steps is not None and step % when.every_steps == 0
        epoch, rest = divmod(step, steps_per_epoch)
        return by_steps or (rest == 0 and when.every_epochs is not None and epoch % when.every_epochs == 0)

    def minutes_passed(self) -> bool:
        """Whether the recipe's number of minutes has passed on this rank since the last checkpoint."""
        minutes = self.checkpoint.every_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def note_best(self, standing: Standing, values: Mapping[str, float]) -> None:
        """Remember the checkpoint of this evaluation, if it is the best one so far.

        Raises:
            UserError: if before training an evaluator gives no number of the name that the recipe wants.
        """
        wanted = self.checkpoint.best_metric
        if wanted is None:
            return
        owner = wanted.rpartition("/")[0] + "/"
        if wanted not in values and any(name.startswith(owner) for name in values):
            sentence = f"checkpoint.best_metric: no evaluation gives {wanted!r}; {nearest(wanted, values)}"
            if standing.step == 0:
                raise UserError(sentence)
            # what was trained is worth more: the key may be changed when the run is continued
            log.warning("%s; no best checkpoint is kept", sentence)
        if standing.step == 0 or wanted not in values:
            return
        sign = 1 if self.checkpoint.best_mode == "max" else -1
        if standing.best is None or sign * values[wanted] > sign * standing.best.value:
            standing.best = Best(standing.step, values[wanted], self._best_of())

    def _best_of(self) -> str:
        return f"{self.checkpoint.best_mode} {self.checkpoint.best_metric}"


def take_up(run: Run, found: Checkpoint) -> None:
    """Put a checkpoint's weights, buffers and states into a run.

    Raises:
        RunError: if it does not fit.
    """
    restore(run.modules(), found.weights)
    run.optimizer.load_state_dict(found.optimizer["optimizer"])
    run.precision.scaler.load_state_dict(found.optimizer["scaler"])
    if run.rule is not None:
        run.rule.load_state_dict(found.optimizer["rule"])


def _agree(step: int | None) -> None:
    """Whether all ranks have found the checkpoint of the same step: DDP would not notice if they had not."""
    steps = gather_items([step])
    if len(set(steps)) > 1:
        raise RunError(
            f"the processes do not see the same checkpoints (steps, by process: {steps}): --out must be a folder that "
            "all of them share",
            on_every_rank=True,
        )
