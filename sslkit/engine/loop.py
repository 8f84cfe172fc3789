"""The loop around the training step: when to log, to evaluate, to save and to stop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol, cast

from sslkit.data.batch import Batch
from sslkit.data.enlarged import EnlargedImages
from sslkit.data.loading import MAX_REPLACEMENTS, AugmentedImages, StepSampler, default_workers, make_loader
from sslkit.data.reading import BadImage
from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import Length
from sslkit.engine.checkpoint import CheckpointStore, restore
from sslkit.engine.distributed import barrier, is_first
from sslkit.engine.fingerprint import fingerprint
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

#: What torch's loader says when a worker is gone or silent.
_LOADER_WORDS = ("exited unexpectedly", "DataLoader timed out", "is killed by signal")


class Evaluation(Protocol):
    """Judges the nets of a run."""

    def due(self, step: int) -> bool:
        """Whether anything runs when ``step`` steps are done."""

    def __call__(self, nets: Mapping[str, Backbone], step: int) -> Mapping[str, float]:
        """Values by ``net/evaluator/metric``; nets by name."""


@dataclass
class Standing:
    """Where a run stands: what ``state.json`` holds.

    Attributes:
        step: optimizer steps done.
        data: the fingerprint of the images that the run is trained on.
        seconds: spent training, over all processes that continued the run.
        evaluations: values by the step at which they were taken.
        last_loss: of the last step that was read back.
        back_offs: steps that fp16's scaler skipped.
        enlarged: images smaller than the largest view, counted whenever they were loaded.
        best: step and value of the best checkpoint, by the recipe's metric.
    """

    step: int = 0
    data: str = ""
    seconds: float = 0.0
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict)
    last_loss: float | None = None
    back_offs: int = 0
    enlarged: int = 0
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
        evaluate: Evaluation,
        bad: BadImages,
    ) -> None:
        self.run, self.images, self.steps = run, images, steps
        self.train, self.checkpoint = train, checkpoint
        self.store, self.watching, self.evaluate, self.bad = store, watching, evaluate, bad
        self.standing = Standing(data=fingerprint(images))
        self.enlarged = EnlargedImages(max(view.size for view in run.augmenter.views))
        self.recorder = Recorder(steps.steps_per_epoch, train.batch_size)
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Take up the newest whole checkpoint; whether there was one.

        Raises:
            UserError: if the data is not what the run began with.
        """
        if is_first():
            self.store.repair()
        # the first rank puts damaged checkpoints aside before the others look
        barrier()
        found = self.store.newest()
        if found is None:
            return False
        state = dict(found.state)
        if state["data"] != self.standing.data:
            raise UserError(
                f"the run began with other images ({state['data']}, now {self.standing.data}: number, and digest of "
                "names): bring them back, or start anew with --fresh or another --out"
            )
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
            if self.pending():
                self._evaluate()
            self._steps(signals)
        return self.standing

    def pending(self) -> bool:
        """Whether the evaluation of the step where the run stands is due and not done."""
        return str(self.standing.step) not in self.standing.evaluations and self.evaluate.due(self.standing.step)

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
            if not any(words in str(error) for words in _LOADER_WORDS):
                raise
            raise RunError(f"a loader process died or hung at step {self.standing.step}: {error}") from error

    def _step(self, batch: Batch) -> None:
        self._note_bad(batch)
        self.enlarged.note(batch.enlarged, len(batch))
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
        if ends_epoch:
            self.watching.call("epoch_end", at=Position(step - 1, self.steps.total, self.steps.steps_per_epoch))
        evaluates = ends_epoch and self.evaluate.due(step)
        # an evaluation may take long or fail: what was trained is saved before it
        if evaluates or guard.stop_agreed or guard.save_agreed or step == stop or self._due(step, ends_epoch):
            self._save()
        if evaluates and not guard.stop_agreed:
            self._evaluate()
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
        self.bad.flush()
        self.standing.enlarged += self.enlarged.flush()
        for row in rows:
            if row.name == "loss":
                self.standing.last_loss = row.value
        if rows:
            self.watching.call("rows_logged", rows=rows)

    def _evaluate(self) -> None:
        """Evaluate what is due, and save the result with the step that it is of."""
        step = self.standing.step
        nets = {"student": self.run.student.backbone}
        if self.run.teacher is not None:
            nets["teacher"] = cast(Network, self.run.teacher).backbone
        values = dict(self.evaluate(nets, step))
        self.standing.evaluations[str(step)] = values
        epoch = step / self.steps.steps_per_epoch
        self.watching.call("rows_logged", rows=[Row(step, epoch, name, value) for name, value in values.items()])
        self.watching.call("evaluation_end", step=step, values=values)
        self._note_best(values)
        if step:
            self._save()
        self.recorder.restart_clock()

    def _note_best(self, values: Mapping[str, float]) -> None:
        wanted = self.checkpoint.best_metric
        if wanted is None:
            return
        owner = wanted.rpartition("/")[0] + "/"
        if wanted not in values and any(name.startswith(owner) for name in values):
            raise UserError(f"checkpoint.best_metric: no evaluation gives {wanted!r}; {nearest(wanted, values)}")
        if self.standing.step == 0 or wanted not in values:
            return
        sign = 1 if self.checkpoint.best_mode == "max" else -1
        if self.standing.best is None or sign * values[wanted] > sign * self.standing.best[1]:
            self.standing.best = (self.standing.step, values[wanted])

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
