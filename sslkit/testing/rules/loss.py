"""Rules for losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslkit.parts.loss import Loss, LossTerms
from sslkit.parts.outputs import Outputs
from sslkit.parts.position import Position
from sslkit.parts.views import Views, ViewSpec
from sslkit.testing.case import CLASSES, FEATURES, VIEWS, WIDTH, Case, changed, draw, require, state_of
from sslkit.testing.case import untouched_generators as untouched

_KNOWN = {"projections", "predictions", "features", "teacher", "labels"}


def given(batch: int, seed: int = 0, fill: float | None = None, specs: tuple[ViewSpec, ...] = VIEWS) -> dict[str, Any]:
    """Student's and teacher's outputs and views of a batch, as leaf tensors with gradient."""

    def rows(offset: int, width: int, ids: list[str]) -> dict[str, Tensor]:
        made = {}
        for number, view in enumerate(ids):
            values = draw(batch, width, seed=1000 * seed + 10 * offset + number)
            made[view] = (values if fill is None else torch.full_like(values, fill)).requires_grad_()
        return made

    everything, large = [view.id for view in specs], [view.id for view in specs if view.teacher]
    return {
        "student": Outputs(rows(1, FEATURES, everything), rows(2, WIDTH, everything), rows(3, WIDTH, everything)),
        "teacher": Outputs(rows(4, FEATURES, large), rows(5, WIDTH, large)),
        "views": Views(specs, {}, torch.arange(batch), torch.arange(batch) % CLASSES),
    }


def _at(step: int = 7) -> Position:
    return Position(step, 20, 5)


def leaves(outputs: Outputs) -> dict[str, Tensor]:
    """All tensors of a net's outputs, by name."""
    groups = {"features": outputs.features, "projections": outputs.projections, "predictions": outputs.predictions}
    return {f"{group}[{view}]": tensor for group, views in groups.items() for view, tensor in views.items()}


def _cast(outputs: Outputs, dtype: torch.dtype) -> Outputs:
    groups = (outputs.features, outputs.projections, outputs.predictions)
    return Outputs(*({view: tensor.to(dtype) for view, tensor in group.items()} for group in groups))


def known_needs(case: Case) -> None:
    """``needs`` names what exists, and it has no parameters of its own."""
    loss = case.build()
    unknown = sorted(loss.needs - _KNOWN)
    require(not unknown, f"it needs {', '.join(unknown)}, which does not exist; known: {', '.join(sorted(_KNOWN))}")
    own = [name for name, _ in loss.named_parameters()]
    require(not own, f"it has the parameter {', '.join(own)}: parameters belong into a head or predictor")


def terms(case: Case) -> None:
    """A scalar total with gradient; scalar logs and any updates without."""
    found: LossTerms = case.build()(**given(4), at=_at())
    require(isinstance(found, LossTerms), f"forward gives a {type(found).__name__} instead of LossTerms")
    require(found.total.ndim == 0, f"the total has the shape {tuple(found.total.shape)}: a scalar is wanted")
    require(found.total.requires_grad, "the total has no gradient")
    for name, value in found.logs.items():
        require(isinstance(value, Tensor) and value.ndim == 0, f"the log {name!r} is no scalar tensor")
        require(not value.requires_grad, f"the log {name!r} keeps the graph alive: detach it")
    attached = [name for name, value in found.update.items() if value.requires_grad]
    require(not attached, f"the update {', '.join(attached)} keeps the graph alive: detach it")


def only_the_student_learns(case: Case) -> None:
    """Gradients reach outputs of the student that it needs, and none of the teacher's."""
    loss, inputs = case.build(), given(4)
    loss(**inputs, at=_at()).total.backward()
    taught = [name for name, tensor in leaves(inputs["teacher"]).items() if tensor.grad is not None]
    require(not taught, f"a gradient reaches the teacher's {', '.join(taught[:2])}: detach them")
    read = tuple(sorted(loss.needs & {"projections", "predictions", "features"}))
    reached = [name for name, t in leaves(inputs["student"]).items() if name.startswith(read) and t.grad is not None]
    require(bool(reached), f"no gradient reaches the student's {' or '.join(read)}, which it needs")


def no_side_effects(case: Case) -> None:
    """Forward moves no buffer, draws no random number and gives the same value again; ``commit`` moves buffers."""
    loss, inputs = case.build(), given(4)
    before = state_of(loss)
    with untouched():
        one, other = (loss(**inputs, at=_at()).total.detach() for _ in range(2))
    moved = changed(before, state_of(loss))
    require(not moved, f"forward moves {', '.join(moved)}: buffers move in commit alone")
    require(torch.equal(one, other), "the same outputs give another total the second time")


def half_precision(case: Case) -> None:
    """Outputs in bf16 give a total in float32 that is near the one of float32 outputs."""
    inputs = given(4)
    full = case.build()(**inputs, at=_at()).total
    half = {key: _cast(value, torch.bfloat16) if key != "views" else value for key, value in inputs.items()}
    found = case.build()(**half, at=_at()).total
    require(found.dtype == torch.float32, f"of bf16 outputs the total is {found.dtype}: cast them to float32 first")
    near = torch.allclose(found, full, rtol=0.1, atol=0.1)
    require(near, f"of bf16 outputs the total is {found.item():.4g}, of float32 ones {full.item():.4g}")


def edges(case: Case) -> None:
    """Its least batch, duplicates and outputs of zero give a finite total and finite gradients."""
    least = case.build().images_needed()
    many = max(4, least)
    for label, batch, fill in (
        (f"a batch of {least}", least, None), ("duplicates", many, 1.0), ("outputs of zero", many, 0.0),
    ):  # fmt: skip
        inputs = given(batch, fill=fill)
        total = case.build()(**inputs, at=_at()).total
        require(bool(total.isfinite()), f"of {label} its total is {total.item()}")
        total.backward()
        gradients = {name: t.grad for name, t in leaves(inputs["student"]).items() if t.grad is not None}
        wrong = [name for name, gradient in gradients.items() if not bool(gradient.isfinite().all())]
        require(not wrong, f"of {label} the gradient of {', '.join(wrong[:2])} is not finite")


def least_batch(case: Case) -> None:
    """Of two views of its least batch (``least_batch``; one image, if it names none) something is learned."""
    two = tuple(view for view in VIEWS if view.teacher)
    loss = case.build(views=two)
    inputs, count = given(loss.images_needed(), specs=two), loss.images_needed()
    loss(**inputs, at=_at()).total.backward()
    gradients = [tensor.grad for tensor in leaves(inputs["student"]).values() if tensor.grad is not None]
    # what float32 leaves of a gradient of zero
    learns = any(float(gradient.abs().max()) > 1e-6 for gradient in gradients)
    require(learns, f"of a batch of {count} nothing is learned: set least_batch to what it needs")


def run_steps(loss: Loss, steps: range, micros: int = 1) -> list[Tensor]:
    """The totals of these steps, each followed by a commit."""
    totals = []
    for step in steps:
        found = [loss(**given(4, seed=step * micros + micro), at=_at(step)) for micro in range(micros)]
        loss.commit([{name: value.clone() for name, value in one.update.items()} for one in found], _at(step))
        totals.append(torch.stack([one.total.detach() for one in found]).mean())
    return totals


def resumes(case: Case) -> None:
    """Saved and loaded in the middle it goes on as if nothing had been: what moves is a registered buffer."""
    whole = case.build(seed=1)
    wanted = run_steps(whole, range(6))
    first, second = case.build(seed=1), case.build(seed=2)
    run_steps(first, range(3))
    second.load_state_dict(state_of(first), strict=True)
    found = run_steps(second, range(3, 6))
    require(
        torch.equal(torch.stack(found), torch.stack(wanted[3:])), "saved and loaded in the middle it goes on otherwise"
    )
    different = changed(state_of(whole), state_of(second))
    require(not different, f"saved and loaded in the middle, {', '.join(different)} ends otherwise")


def micro_batches(case: Case) -> None:
    """``commit`` takes the updates of several micro-batches."""
    run_steps(case.build(), range(2), micros=2)


RULES = (
    known_needs, terms, only_the_student_learns, no_side_effects, half_precision, edges, least_batch, resumes,
    micro_batches,
)  # fmt: skip
