"""The built parts of one run: what the training step works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sslkit.data.batch import Batch
from sslkit.data.preprocess import normalize
from sslkit.engine.buffers import HeldBuffers
from sslkit.engine.guard import Guard
from sslkit.engine.hooks import Acting
from sslkit.engine.network import Network
from sslkit.engine.param_groups import Rates
from sslkit.engine.precision import Precision
from sslkit.errors import UserError, blame
from sslkit.parts.augmenter import Augmenter
from sslkit.parts.clip import Clip
from sslkit.parts.collectives import rank
from sslkit.parts.loss import Loss, LossTerms
from sslkit.parts.outputs import Outputs
from sslkit.parts.position import Position
from sslkit.parts.preprocess import Preprocess
from sslkit.parts.randomness import seed_everything
from sslkit.parts.teacher import TeacherRule
from sslkit.parts.views import Views


@dataclass
class Run:
    """Student, teacher, losses and everything that moves them.

    Attributes:
        student: the student itself; ``trained`` is what forward and backward go through (it, or DDP around it).
        teacher: a net without predictor, or None; of the student's architecture if its rule follows the student.
        losses: by id; ``weights`` holds their factors in the sum.
        held: what forward passes move, as it was before the step.
        micro_batches: parts that a rank's batch is computed in.
    """

    seed: int
    device: torch.device
    augmenter: Augmenter
    preprocess: Preprocess
    student: Network
    trained: nn.Module
    teacher: Network | None
    rule: TeacherRule | None
    losses: Mapping[str, Loss]
    weights: Mapping[str, float]
    optimizer: torch.optim.Optimizer
    rates: Rates
    clip: Clip | None
    precision: Precision
    guard: Guard
    acting: Acting
    micro_batches: int = 1
    held: HeldBuffers = field(init=False)
    _parameters: list[nn.Parameter] = field(default_factory=list)
    _graphs: bool = False

    def __post_init__(self) -> None:
        self._parameters = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        self.held = HeldBuffers([self.student] if self.teacher is None else [self.student, self.teacher])

    def compile_nets(self, graphs: bool) -> None:
        """Let torch.compile make what runs the nets in training; with ``graphs`` by CUDA graphs.

        Raises:
            UserError: if graphs are wanted where there is no CUDA.
        """
        if graphs and self.device.type != "cuda":
            raise UserError(f"train.cuda_graphs: true needs a CUDA device, and the run is on {self.device}; take false")
        self._graphs = graphs
        for net in (self.student, self.teacher):
            if net is not None:
                net.compile_parts(graphs)

    def begin(self, at: Position, micro: int) -> None:
        """What comes first of a micro-batch: every draw of the nets (drop path, dropout) becomes a function of step,
        micro-batch and rank."""
        if self._graphs:
            # the memory of the last step's outputs may be written over
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        seed_everything("step", self.seed, at.step, micro, rank())

    def views(self, micro: Batch) -> Views:
        """A micro-batch's views on the device, normalised."""
        micro = micro.to(self.device)
        with blame("the augmenter", "on the device"):
            views = micro.views(self.augmenter)
        images = {size: normalize(pixels, self.preprocess) for size, pixels in views.items()}
        return Views(self.augmenter.views, images, micro.indices, micro.labels)

    @torch.no_grad()
    def targets(self, views: Views, at: Position) -> Outputs | None:
        """The teacher's outputs for its views; None without a teacher."""
        if self.teacher is None:
            return None
        with blame("the teacher", f"at step {at.step}"):
            outputs: Outputs = self.teacher(views, views.for_teacher())
        return outputs

    def outputs(self, views: Views, at: Position) -> Outputs:
        """The student's outputs for its views."""
        with blame("the student", f"at step {at.step}"):
            outputs: Outputs = self.trained(views, views.for_student())
        return outputs

    def terms(self, outputs: Outputs, targets: Outputs | None, views: Views, at: Position) -> dict[str, LossTerms]:
        """What every loss says, by id."""
        found: dict[str, LossTerms] = {}
        for key, loss in self.losses.items():
            with blame(f"the loss {key!r}", f"at step {at.step}"):
                found[key] = loss(outputs, targets, views, at)
        return found

    def move_teacher(self, at: Position) -> None:
        """Let the teacher follow the student, by its rule."""
        if self.rule is not None and self.teacher is not None:
            with blame("the teacher rule", f"at step {at.step}"):
                self.rule.update(self.teacher, self.student, at)

    def commit(self, history: Sequence[Mapping[str, LossTerms]], at: Position) -> None:
        """Let the losses move their buffers, from the terms of all micro-batches."""
        for key, loss in self.losses.items():
            with blame(f"the loss {key!r}", f"at step {at.step}, in commit"):
                loss.commit([terms[key].update for terms in history], at)

    def total(self, terms: Mapping[str, LossTerms]) -> Tensor:
        """The weighted sum of the losses."""
        return torch.stack([self.weights[key] * term.total for key, term in terms.items()]).sum()

    def clip_gradients(self) -> Tensor:
        """Clip what backward left, and return the norms before it, ``[n]``."""
        self.precision.unscale(self.optimizer)
        return self.clip(self._gradients()) if self.clip is not None else self.gradient_norms()

    def gradient_norms(self) -> Tensor:
        """The norms of the gradients as they are now, ``[n]``."""
        gradients = self._gradients()
        return torch.stack(torch._foreach_norm(gradients)) if gradients else torch.zeros(0, device=self.device)

    def update_sizes(self, history: Sequence[Mapping[str, LossTerms]]) -> Tensor:
        """The largest absolute entry of everything that losses' buffers will be moved by, ``[n]``."""
        updates = [update for terms in history for term in terms.values() for update in term.update.values()]
        sizes = [update.detach().abs().amax().float() for update in updates if update.is_floating_point()]
        return torch.stack(sizes) if sizes else torch.zeros(0, device=self.device)

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights or buffers, by the name that checkpoints use."""
        nets: dict[str, nn.Module] = {"student": self.student}
        if self.teacher is not None:
            nets["teacher"] = self.teacher
        return nets | {f"losses.{key}": loss for key, loss in self.losses.items()}
