"""The loss of SwAV: swapped prediction of cluster assignments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.parts import (
    Loss,
    LossTerms,
    Outputs,
    Position,
    RowQueue,
    Views,
    ViewSpec,
    at_least_float32,
    check_at_least,
    check_positive,
    sinkhorn,
    view_partners,
)


class SwAVLoss(Loss):
    """Every view is to predict to which prototypes another view of its image is assigned.

    Assignments q of a large crop: Sinkhorn-Knopp over its similarities to the prototypes, divided by ``epsilon``, so
    that every prototype gets an equal share of all ranks' images and of the queue (Caron et al. 2020, SwAV,
    equation 3 and appendix A). The loss is the mean over large crops i and all other views v of
    ``-q_i . log softmax(s_v / T)`` (equation 2 and section 3.2). Similarities are the outputs of the predictor
    ``prototypes``. There is no teacher: the large crops are those that one would see.

    Logged: ``code_entropy``, of q, in nats: log K is an even assignment.

    Args:
        out_dim: width of the projections, which the queue holds.
        views: the augmenter's views.
        predict: the prototypes as they stand, for the projections in the queue.
        temperature: T; 0.1.
        epsilon: sharpness of the assignments; 0.05 (0.03 in the public code for some runs).
        sinkhorn_iterations: rounds; 3.
        queue_length: projections of earlier steps that take part in the assignment, for each large crop; 0: none.
            3840 for batches of 256 (section 5.1 of the paper's appendix).
        queue_from_epoch: epoch from which the queue is filled; it takes part once it is full; 15.

    Attributes:
        queues: by number of the large crop.
    """

    needs = frozenset({"projections", "predictions"})
    batch_statistics = True

    def __init__(
        self,
        out_dim: int,
        views: tuple[ViewSpec, ...],
        predict: Callable[[Tensor], Tensor],
        temperature: float = 0.1,
        epsilon: float = 0.05,
        sinkhorn_iterations: int = 3,
        queue_length: int = 0,
        queue_from_epoch: int = 15,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("epsilon", epsilon)
        check_at_least("sinkhorn_iterations", sinkhorn_iterations, 1)
        check_at_least("queue_length", queue_length, 0)
        check_at_least("queue_from_epoch", queue_from_epoch, 0)
        self.temperature, self.epsilon, self.sinkhorn_iterations = temperature, epsilon, sinkhorn_iterations
        self.queue_from_epoch = queue_from_epoch
        self._predict = predict
        self._partners = view_partners(views, "swav", own=True)
        self._coded = [view.id for view in views if view.teacher and view.student]
        self.queues = nn.ModuleList(RowQueue(queue_length, out_dim) for _ in self._coded if queue_length)
        self._full = False

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        """The mean over this rank's samples, in float32 or better.

        Returns:
            ``update`` holds the projections ``[B, D]`` by large crop, where there is a queue.
        """
        scores = {view: at_least_float32(rows) for view, rows in student.predictions.items()}
        codes = self._assign(scores, at)
        logs = {view: F.log_softmax(scores[view] / self.temperature, dim=-1) for view in self._partners}
        losses = {view: [] for view in self._coded}
        for view, others in self._partners.items():
            for other in others:
                losses[other].append(-(codes[other] * logs[view]).sum(-1).mean())
        total = torch.stack([torch.stack(of_view).mean() for of_view in losses.values()]).mean()
        entropy = torch.stack([torch.special.entr(code).sum(-1).mean() for code in codes.values()]).mean()
        kept = {view: student.projections[view].detach() for view in self._coded} if len(self.queues) else {}
        return LossTerms(total, {"code_entropy": entropy}, kept)

    def _assign(self, scores: Mapping[str, Tensor], at: Position) -> dict[str, Tensor]:
        if len(self.queues) and at.epoch >= self.queue_from_epoch and not self._full:
            self._full = all(queue.full() for queue in self.queues)
        codes = {}
        for number, view in enumerate(self._coded):
            own = scores[view].detach()
            rows = [own]
            if self._full:
                rows.append(at_least_float32(self._predict(self.queues[number].share())))
            codes[view] = sinkhorn(torch.cat(rows) / self.epsilon, self.sinkhorn_iterations)[: len(own)]
        return codes

    def commit(self, updates: Sequence[Mapping[str, Tensor]], at: Position) -> None:
        """Take the step's projections into the queues, once their epoch has come."""
        if at.epoch >= self.queue_from_epoch:
            for queue, view in zip(self.queues, self._coded, strict=False):
                queue.push(torch.cat([update[view] for update in updates]))
