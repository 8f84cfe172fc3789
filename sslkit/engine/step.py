"""The training step: the order of the paper, and no method in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sslkit.data.batch import Batch
from sslkit.engine.distributed import gradient_sync
from sslkit.engine.run import Run
from sslkit.parts.loss import LossTerms
from sslkit.parts.outputs import Outputs
from sslkit.parts.position import Position


@dataclass(frozen=True)
class StepReport:
    """What a step leaves for the watchers: detached tensors on the device, and plain numbers.

    Attributes:
        tensors: ``loss``, ``grad_norm`` and each loss's logs, means over micro-batches.
        numbers: the rates of this step.
        norms: ``[n]``, of every gradient before clipping, in the order of the student's trained parameters.
        student: the student's outputs for the last micro-batch.
        teacher: the teacher's, or None.
    """

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, float]
    norms: Tensor
    student: Outputs
    teacher: Outputs | None


def training_step(run: Run, batch: Batch, at: Position) -> StepReport:
    """One optimizer step on this rank's share of a batch.

    Raises:
        NotFinite: if the loss, a gradient or what a loss's buffers are moved by is not finite. Nothing has moved then
            but running statistics, which ``run.held`` has as they were.
        RunError: if a part fails.
    """
    run.held.keep()
    numbers = run.rates.apply(run.optimizer, at)
    run.optimizer.zero_grad(set_to_none=True)
    micros = batch.split(run.micro_batches)
    history: list[dict[str, LossTerms]] = []
    totals: list[Tensor] = []
    for index, micro in enumerate(micros):
        run.begin(at, index)
        views = run.views(micro)
        with gradient_sync(run.trained, on=index == len(micros) - 1):
            with run.precision.autocast():
                targets = run.targets(views, at)
                outputs = run.outputs(views, at)
            terms = run.terms(outputs, targets, views, at)
            total = run.total(terms)
            run.precision.backward(total / len(micros))
        history.append(terms)
        totals.append(total.detach())
    loss = torch.stack(totals).mean()
    norms = run.clip_gradients()
    run.acting.call("before_step", at=at, student=run.student)
    if run.guard.passes(loss, torch.cat([norms, run.gradient_norms(), run.update_sizes(history)]), at):
        run.optimizer.step()
        run.move_teacher(at)
        run.commit(history, at)
        run.acting.call("after_step", at=at, student=run.student)
        run.precision.grow()
    else:
        run.precision.back_off()
        numbers = {**numbers, "back_offs": run.guard.back_offs}
    tensors = {"loss": loss, "grad_norm": norms.norm(), **_mean_logs(history)}
    return StepReport(tensors, numbers, norms, outputs.detach(), targets)


def _mean_logs(history: list[dict[str, LossTerms]]) -> dict[str, Tensor]:
    """Each loss's logs as ``loss id/name``, means over micro-batches."""
    logs: dict[str, list[Tensor]] = {}
    for terms in history:
        for key, term in terms.items():
            for name, value in term.logs.items():
                logs.setdefault(f"{key}/{name}", []).append(value)
    return {name: torch.stack(values).mean() for name, values in logs.items()}
