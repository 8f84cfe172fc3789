"""The loop around the training step: when to log, to evaluate, to save and to stop."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch

from sslkit.data.batch import Batch
from sslkit.data.loading import MAX_REPLACEMENTS, AugmentedImages, StepSampler, default_workers, make_loader
from sslkit.data.reading import BadImage
from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import Length
from sslkit.engine.checkpoint import CheckpointStore, restore
from sslkit.engine.distributed import barrier, is_first
from sslkit.engine.hooks import Watching
from sslkit.engine.metrics import Recorder
from sslkit.engine.network import Network
from sslkit.engine.run import Run
from sslkit.engine.signals import StopSignals
from sslkit.engine.step import training_step
from sslkit.errors import RunError, Stopped, UserError, nearest
from sslkit.parts.backbone import Backbone
from sslkit.parts.collectives import rank, world_size
from sslkit.parts.dataset import Images
from sslkit.parts.position import Position
from sslkit.parts.watcher import Row
from sslkit.recipe.settings import Checkpointing, Train

log = logging.getLogger("sslkit")

#: Evaluates nets (by name) when ``step`` steps are done of a run; gives values by ``net/evaluator/metric``.
Evaluate = Callable[[Mapping[str, Backbone], int], Mapping[str, float]]


@dataclass
class Standing:
    """Where a run stands: what ``state.json`` holds.

    Attributes:
        step: optimizer steps done.
        seconds: spent training, over all processes that continued the run.
        evaluations: values by the step at which they were taken.
        last_loss: of the last step that was read back.
        back_offs: steps that fp16's scaler skipped.
        best: step and value of the best checkpoint, by the recipe's metric.
    """

    step: int = 0
    seconds: float = 0.0
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict)
    last_loss: float | None = None
    back_offs: int = 0
    best: tuple[int, float] | None = None


class Loop:
    """Runs the steps of one run, from wherever it stands.

    Args:
        run: the built parts.
        images: what to train on.
        steps: how long.
        train: the recipe's section.
        checkpoint: the recipe's section.
        store: where checkpoints go.
        watching: the watchers.
        evaluate: judges nets; at step 0, at epochs' ends and at the end.
        bad: the list of unreadable images.
    """

    def __init__(
        self,
        run: Run,
        images: Images,
        steps: Length,
        train: Train,
        checkpoint: Checkpointing,
        store: CheckpointStore,
        watching: Watching,
        evaluate: Evaluate,
        bad: BadImages,
    ) -> None:
        self.run, self.images, self.steps = run, images, steps
        self.train, self.checkpoint = train, checkpoint
        self.store, self.watching, self.evaluate, self.bad = store, watching, evaluate, bad
        self.standing = Standing()
        self.recorder = Recorder(steps.steps_per_epoch, train.batch_size)
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Take up the newest whole checkpoint; whether there was one."""
        found = None
        if is_first():
            self.store.remove_unfinished()
            found = self.store.newest()
        # the first rank puts damaged checkpoints aside before the others look
        barrier()
        found = found if is_first() else self.store.newest()
        if found is None:
            return False
        state = dict(found.state)
        self.watching.load_state_dict(state.pop("watchers"))
        best = state.pop("best")
        self.standing = Standing(**state, best=tuple(best) if best else None)
        restore(self.run.modules(), found.weights)
        self.run.optimizer.load_state_dict(found.optimizer["optimizer"])
        self.run.precision.scaler.load_state_dict(found.optimizer["scaler"])
        if self.run.rule is not None:
            self.run.rule.load_state_dict(found.optimizer["rule"])
        self.run.guard.back_offs = self.standing.back_offs
        return True

    def fit(self) -> Standing:
        """Make the steps that are left, evaluate, and save.

        Raises:
            Stopped: if a signal asked for it; everything is saved then.
            RunError: if the run cannot go on.
        """
        with StopSignals() as signals:
            if self.standing.step == 0 and not self.standing.evaluations:
                self._evaluate()
            self._steps(signals)
            if self.standing.step == self.steps.total and str(self.standing.step) not in self.standing.evaluations:
                self._evaluate()
                self._save()
        return self.standing

    def _steps(self, signals: StopSignals) -> None:
        stop = min(self.steps.total, self.train.max_steps or self.steps.total)
        sampler = StepSampler(
            len(self.images), self.train.batch_size, self.run.seed, self.standing.step, stop, rank(), world_size()
        )
        views = AugmentedImages(self.images, self.run.augmenter, self.run.preprocess.channels, self.run.seed)
        workers = default_workers() if self.train.workers is None else self.train.workers
        pin = self.run.device.type == "cuda"
        loader = make_loader(views, sampler, workers=workers, timeout=self.train.worker_timeout, pin=pin)
        self.recorder.restart_clock()
        began = asked = time.perf_counter()
        try:
            for batch in loader:
                self.recorder.waited(time.perf_counter() - asked)
                self.run.guard.stop_wanted = signals.received is not None
                self.run.guard.save_wanted = self._minutes_passed()
                self._step(batch)
                now = time.perf_counter()
                self.standing.seconds, began = self.standing.seconds + now - began, now
                self._after_step(signals, stop)
                asked = began = time.perf_counter()
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RunError(f"a loader process died or hung at step {self.standing.step}: {error}") from error

    def _step(self, batch: Batch) -> None:
        self._note_bad(batch)
        at = Position(self.standing.step, self.steps.total, self.steps.steps_per_epoch)
        report = training_step(self.run, batch, at)
        self.standing.step += 1
        self.recorder.add(self.standing.step, report.tensors, report.numbers)
        self.watching.call("step_end", at=at, metrics=report.tensors, student=report.student, teacher=report.teacher)

    def _after_step(self, signals: StopSignals, stop: int) -> None:
        step, guard = self.standing.step, self.run.guard
        self.standing.back_offs = guard.back_offs
        ends_epoch = step % self.steps.steps_per_epoch == 0
        if step % self.train.log_every == 0 or ends_epoch or step == stop:
            self._flush()
        improved = False
        if ends_epoch:
            self.watching.call("epoch_end", at=Position(step - 1, self.steps.total, self.steps.steps_per_epoch))
            if step < self.steps.total:
                improved = self._evaluate()
        if improved or guard.stop_agreed or guard.save_agreed or step == stop or self._due(step, ends_epoch):
            self._save()
        if guard.stop_agreed and step < self.steps.total:
            number = signals.received
            raise Stopped(f"stopped and saved at step {step} of {self.steps.total}", int(number) if number else 15)

    def _due(self, step: int, ends_epoch: bool) -> bool:
        when = self.checkpoint
        by_steps = when.every_steps is not None and step % when.every_steps == 0
        epoch = step // self.steps.steps_per_epoch
        return by_steps or (ends_epoch and when.every_epochs is not None and epoch % when.every_epochs == 0)

    def _minutes_passed(self) -> bool:
        minutes = self.checkpoint.every_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def _note_bad(self, batch: Batch) -> None:
        self.bad.note(batch.bad)
        if not batch.pixels:
            worst: BadImage = batch.bad[-1]
            raise UserError(
                f"the data cannot be read: {MAX_REPLACEMENTS} images in a row failed, the last one {worst.name}: "
                f"{worst.reason}; check that the folder holds images"
            )

    def _flush(self) -> None:
        rows = self.recorder.flush()
        for row in rows:
            if row.name == "loss":
                self.standing.last_loss = row.value
        if rows:
            self.watching.call("rows_logged", rows=rows)

    def _evaluate(self) -> bool:
        """Evaluate what is due; whether the best checkpoint's metric improved."""
        step = self.standing.step
        nets = {"student": self.run.student.backbone}
        if self.run.teacher is not None:
            nets["teacher"] = cast(Network, self.run.teacher).backbone
        values = dict(self.evaluate(nets, step))
        if not values:
            return False
        self.standing.evaluations[str(step)] = values
        epoch = step / self.steps.steps_per_epoch
        self.watching.call("rows_logged", rows=[Row(step, epoch, name, value) for name, value in values.items()])
        self.watching.call("evaluation_end", step=step, values=values)
        self.recorder.restart_clock()
        return self._improves(values)

    def _improves(self, values: Mapping[str, float]) -> bool:
        wanted = self.checkpoint.best_metric
        if wanted is None:
            return False
        owner = wanted.rpartition("/")[0] + "/"
        if wanted not in values and any(name.startswith(owner) for name in values):
            raise UserError(f"checkpoint.best_metric: no evaluation gives {wanted!r}; {nearest(wanted, values)}")
        if self.standing.step == 0 or wanted not in values:
            return False
        sign = 1 if self.checkpoint.best_mode == "max" else -1
        if self.standing.best is not None and sign * values[wanted] <= sign * self.standing.best[1]:
            return False
        self.standing.best = (self.standing.step, values[wanted])
        return True

    def _save(self) -> None:
        self._flush()
        self._saved_at = time.monotonic()
        if not is_first():
            return
        optimizer = {
            "optimizer": self.run.optimizer.state_dict(),
            "scaler": self.run.precision.scaler.state_dict(),
            "rule": self.run.rule.state_dict() if self.run.rule else {},
        }
        state = {**asdict(self.standing), "watchers": self.watching.state_dict()}
        best = self.standing.best[0] if self.standing.best else None
        self.store.save(self.run.modules(), optimizer, state, best)
        self.recorder.restart_clock()


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that this process has held, on the device or, on a CPU, resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def summarise(standing: Standing, steps: Length, train: Train, device: torch.device) -> dict[str, Any]:
    """The flat summary of a finished run: metrics in percent, ``start/...`` for those before training."""
    start = {f"start/{name}": value for name, value in standing.evaluations.get("0", {}).items()}
    trained = standing.step * train.batch_size
    return {
        **standing.evaluations.get(str(steps.total), {}),
        **start,
        "loss": standing.last_loss,
        "steps": standing.step,
        "epochs": train.epochs,
        "seconds": round(standing.seconds, 3),
        "images_per_second": round(trained / standing.seconds, 3) if standing.seconds else None,
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "world_size": world_size(),
    }
