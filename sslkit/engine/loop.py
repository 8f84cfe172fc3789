"""The loop around the training step: when to log, to evaluate, to save and to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Protocol

from sslkit.data.batch import Batch
from sslkit.data.enlarged import EnlargedImages
from sslkit.data.loading import MAX_REPLACEMENTS, AugmentedImages, StepSampler, chosen_workers, loaded, make_loader
from sslkit.data.reading import BadImage
from sslkit.data.shared import LoaderFailed
from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import Length
from sslkit.engine.compile_failure import compile_failure
from sslkit.engine.faults import Faults
from sslkit.engine.fingerprint import fingerprint
from sslkit.engine.hooks import Watching
from sslkit.engine.metrics import Recorder
from sslkit.engine.out_of_memory import out_of_memory
from sslkit.engine.patience import reminding
from sslkit.engine.reporting import say
from sslkit.engine.run import Run
from sslkit.engine.saving import Saving
from sslkit.engine.signals import StopSignals
from sslkit.engine.standing import Standing
from sslkit.engine.step import training_step
from sslkit.errors import NotFinite, RunError, Stopped, UserError, lost_process
from sslkit.parts.backbone import Backbone
from sslkit.parts.collectives import rank, world_size
from sslkit.parts.dataset import Images
from sslkit.parts.position import Position
from sslkit.parts.watcher import Row
from sslkit.recipe.settings import Train


class Evaluation(Protocol):
    """Judges the nets of a run."""

    def due(self, step: int) -> bool:
        """Whether anything runs when ``step`` steps are done."""

    def __call__(self, nets: Mapping[str, Backbone], step: int) -> Mapping[str, float]:
        """Values by ``net/evaluator/metric``; nets by name."""


class Loop:
    """Runs the steps of one run, from wherever it stands.

    Args:
        run: the built parts.
        images: what to train on.
        steps: how long.
        train: the recipe's section.
        saving: its checkpoints.
        watching: the watchers.
        evaluate: judges nets; at step 0, at epochs' ends and at the end.
        bad: the list of unreadable images.
        faults: what becomes of steps that are not finite.
    """

    def __init__(
        self,
        run: Run,
        images: Images,
        steps: Length,
        train: Train,
        saving: Saving,
        watching: Watching,
        evaluate: Evaluation,
        bad: BadImages,
        faults: Faults,
    ) -> None:
        self.run, self.images, self.steps = run, images, steps
        self.train, self.saving = train, saving
        self.watching, self.evaluate, self.bad, self.faults = watching, evaluate, bad, faults
        self.standing = Standing(data=fingerprint(images))
        self.enlarged = EnlargedImages(max(view.size for view in run.augmenter.views))
        self.recorder = Recorder(steps.steps_per_epoch, train.batch_size)
        #: What is under way, for the person who wonders.
        self.doing = "starting"
        self._saved: int | None = None

    def resume(self) -> bool:
        """Take up the newest whole checkpoint; whether there was one (see :meth:`Saving.resume`)."""
        found = self.saving.resume(self.standing.data)
        self.standing = found or self.standing
        self._saved = found.step if found else None
        return found is not None

    def fit(self) -> Standing:
        """Make the steps that are left, evaluate, and save.

        Raises:
            Stopped: if a signal asked for it; everything is saved then, unless it was asked for twice.
            RunError: if the run cannot go on.
        """
        if self.train.compile:
            self.run.compile_nets(self.train.cuda_graphs)
        try:
            with StopSignals(self._acknowledge) as signals, closing(self.saving):
                if self.pending():
                    self._evaluate()
                self._steps(signals)
        except KeyboardInterrupt as error:
            saved = "the start" if self._saved is None else f"the checkpoint of step {self._saved}"
            raise Stopped(
                f"quit at step {self.standing.step} of {self.steps.total} without saving: the same command continues "
                f"from {saved}, and makes the steps since then again",
                signal.SIGINT,
            ) from error
        except (RuntimeError, MemoryError, RunError) as error:
            known = self._explained(error)
            if known is None:
                raise
            raise known from error
        return self.standing

    def _acknowledge(self, signal_name: str) -> None:
        again = "Ctrl-C again quits" if signal_name == "Ctrl-C" else "Ctrl-C quits at once"
        say(f"{signal_name}: finishing {self.doing}, then saving; {again}")

    def pending(self) -> bool:
        """Whether the evaluation of the step where the run stands is due and not done."""
        return str(self.standing.step) not in self.standing.evaluations and self.evaluate.due(self.standing.step)

    @property
    def stop(self) -> int:
        """The step that this process trains to."""
        return min(self.steps.total, self.train.max_steps or self.steps.total)

    def evaluated_steps(self) -> tuple[int, ...]:
        """The steps, from where the run stands to :attr:`stop`, after which evaluators run."""
        ends = range(0, self.stop + 1, self.steps.steps_per_epoch)
        left = [step for step in ends if step > self.standing.step or (step == self.standing.step and self.pending())]
        return tuple(step for step in left if self.evaluate.due(step))

    def _steps(self, signals: StopSignals) -> None:
        stop = self.stop
        sampler = StepSampler(
            len(self.images), self.train.batch_size, self.run.seed, self.standing.step, stop, rank(), world_size()
        )
        views = AugmentedImages(
            self.images, self.run.augmenter, self.run.preprocess.channels, self.run.seed, self.run.preprocess.values
        )
        workers, pin = chosen_workers(self.train.workers), self.run.device.type == "cuda"
        loader = make_loader(views, sampler, workers=workers, timeout=self.train.worker_timeout, pin=pin)
        with closing(loaded(loader)) as batches:
            self._train(batches, signals, stop)

    def _train(self, batches: Iterator[Batch], signals: StopSignals, stop: int) -> None:
        self.recorder.restart_clock()
        began = asked = time.perf_counter()
        with ExitStack() as first:
            self._loading(True)
            first.enter_context(reminding(self._slow_start, say))
            for batch in batches:
                self.recorder.waited(time.perf_counter() - asked)
                self.run.guard.stop_wanted = int(signals.received or 0)
                self._loading(False)
                self.run.guard.save_wanted = self.saving.minutes_passed()
                self._step(batch)
                first.close()
                now = time.perf_counter()
                self.standing.seconds, began = self.standing.seconds + now - began, now
                self._after_step(stop)
                self._loading(True)
                asked = began = time.perf_counter()

    def _loading(self, waits: bool) -> None:
        # signals are looked for when a batch has come: one that comes within a step is met in the next
        last = self.standing.step + (1 if waits else 2)
        self._waits, self.doing = waits, f"step {min(last, self.stop)}"

    def _slow_start(self) -> str:
        """Why the first step may take long."""
        workers = chosen_workers(self.train.workers)
        if self._waits:
            return f"the first batch takes long: images are read and cropped in {workers or 'no'} loader processes"
        why = ": the nets are being compiled (train.compile)" if self.train.compile else ""
        return f"the first step takes long on {self.run.device}{why}"

    def _step(self, batch: Batch) -> None:
        self._note_bad(batch)
        self.enlarged.note(batch.enlarged, len(batch))
        at = Position(self.standing.step, self.steps.total, self.steps.steps_per_epoch)
        try:
            report = training_step(self.run, batch, at)
        except NotFinite as error:
            self.faults.met(error, batch, at, self.standing)
            self.standing.step += 1
            self.recorder.add(self.standing.step, {}, {"nonfinite_steps": self.standing.nonfinite})
            return
        self.standing.step += 1
        self.recorder.add(self.standing.step, report.tensors, report.numbers)
        self.watching.call("step_end", at=at, metrics=report.tensors, student=report.student, teacher=report.teacher)

    def _after_step(self, stop: int) -> None:
        self.saving.check()
        step, guard = self.standing.step, self.run.guard
        self.standing.back_offs = guard.back_offs
        ends_epoch = step % self.steps.steps_per_epoch == 0
        if step % self.train.log_every == 0 or ends_epoch or step == stop:
            self._flush()
        if ends_epoch:
            self.watching.call("epoch_end", at=Position(step - 1, self.steps.total, self.steps.steps_per_epoch))
        evaluates = ends_epoch and self.evaluate.due(step)
        # an evaluation may take long or fail: what was trained is saved before it
        due = self.saving.due(step, self.steps.steps_per_epoch)
        pauses = evaluates or guard.stop_agreed or step == stop
        if due or guard.save_agreed or pauses:
            self._save(goes_on=not pauses)
        if guard.stop_agreed and (evaluates or step < self.steps.total):
            where = f"step {step} of {self.steps.total}"
            raise Stopped(f"stopped and saved at {where}; the same command goes on", guard.stop_agreed)
        if evaluates:
            self._evaluate()

    def _explained(self, error: Exception) -> RunError | None:
        """What an error of torch's own means, where it is known; a part may be blamed for it already."""
        at = f"at step {self.standing.step}"
        if isinstance(error, LoaderFailed):
            return RunError(f"{at}: {error}")
        if isinstance(error, RunError):
            cause = error.__cause__
            if cause is None:
                return None
            return compile_failure(cause, at) or out_of_memory(cause, self.run, self.train, at)
        return out_of_memory(error, self.run, self.train, at) or lost_process(error, at)

    def _note_bad(self, batch: Batch) -> None:
        if batch.failure:
            raise RunError(f"at step {self.standing.step}: {batch.failure}")
        if batch.bad and self.train.on_bad_image == "raise":
            first = batch.bad[0]
            raise RunError(f"{first.name} cannot be read: {first.reason} (train.on_bad_image is raise)")
        self.bad.note(batch.bad, "training")
        if not batch.readable:
            worst: BadImage = batch.bad[-1]
            raise UserError(
                f"the data cannot be read: {MAX_REPLACEMENTS} images in a row failed, the last one {worst.name}: "
                f"{worst.reason}; check that the folder holds images",
                on_every_rank=False,
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
        self.doing = f"the evaluation after step {step}" if step else "the evaluation before training"
        nets = {"student": self.run.student.backbone}
        if self.run.teacher is not None and self.run.rule is not None and self.run.rule.learns:
            nets["teacher"] = self.run.teacher.backbone
        values = dict(self.evaluate(nets, step))
        self.standing.evaluations[str(step)] = values
        epoch = step / self.steps.steps_per_epoch
        self.watching.call("rows_logged", rows=[Row(step, epoch, name, value) for name, value in values.items()])
        self.watching.call("evaluation_end", step=step, values=values)
        self.saving.note_best(self.standing, values)
        if step:
            self._save()
        self.recorder.restart_clock()

    def _save(self, goes_on: bool = False) -> None:
        self._flush()
        self.saving.save(self.standing, goes_on)
        self._saved = self.standing.step
        self.recorder.restart_clock()
