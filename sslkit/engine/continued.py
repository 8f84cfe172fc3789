"""A run that is continued with another recipe than it was begun with: what is refused, and what is reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL.Image import Image

from sslkit.engine.build import Length, batch_norms, whole_batch_losses
from sslkit.engine.run import Run
from sslkit.errors import UserError
from sslkit.parts.bands import Numbers
from sslkit.parts.dataset import Images
from sslkit.parts.position import Position
from sslkit.recipe.continuing import Changes, Kind, Pair, listed
from sslkit.recipe.model import Recipe

_OTHERWISE = "name another folder with --out, or start from scratch with --fresh (the old run is moved aside)"


def check_changes(changes: Changes, recipe: Recipe, run: Run, images: Images, folder: Path) -> None:
    """Whether the changes keep the run what it is, as far as its parts and images decide that.

    Args:
        changes: how the recipe differs from that of the run that is there.
        recipe: the new one.
        run: built from it.
        images: the data set's own training images.
        folder: of the run.

    Raises:
        UserError: if a change would train something else.
    """
    if per_sample := changes.of(Kind.PER_SAMPLE):
        readers = batch_norms(run.student)
        if "train.micro_batches" in per_sample:
            readers += whole_batch_losses(run.losses)
        if readers:
            raise UserError(
                f"{folder} holds a run of another recipe ({listed(per_sample)}): it changes what is trained, because "
                f"images are looked at together by {', '.join(readers)}; {_OTHERWISE}"
            )
    if (pixels := changes.of(Kind.PIXELS)) and changes.side is not None:
        larger = _first_larger(images, changes.side)
        if larger is not None:
            raise UserError(
                f"{folder} holds a run of another recipe ({listed(pixels)}): images are shrunk to {changes.side} "
                f"pixels by one of both and not by the other, and {images.name(larger)} is larger; {_OTHERWISE}"
            )


def _first_larger(images: Images, side: int) -> int | None:
    """The first image whose short side is larger; unreadable ones are no obstacle."""
    for index in range(len(images)):
        try:
            image = images.read(index)
        except (OSError, ValueError):
            continue
        if min(image.size if isinstance(image, Image | Numbers) else image.shape[1:]) > side:
            return index
    return None


def check_length(steps: Length, step: int, place: str) -> None:
    """Whether a run that is extended has steps left.

    Args:
        steps: the new length.
        step: where the run stands.
        place: of ``train.epochs`` in the recipe.

    Raises:
        UserError: if it has none.
    """
    if step >= steps.total:
        raise UserError(
            f"{place}: the run has trained {step} steps already, and this makes {steps.total}: to extend it, use more "
            f"than {step // steps.steps_per_epoch} epochs"
        )


def report(changes: Changes, run: Run, steps: Length, step: int) -> Iterator[str]:
    """A line for each kind of change, with the step from which a number may differ.

    Args:
        changes: see :func:`check_changes`.
        run: built from the new recipe.
        steps: the new length.
        step: where the run goes on.
    """
    free = {**changes.of(Kind.FREE), **changes.of(Kind.PIXELS)}
    # where a run stops for now is no news of how it goes on
    free.pop("train.max_steps", None)
    if free:
        yield f"changed since the run began, which changes no number of its training: {listed(free)}"
    rounding = {**changes.of(Kind.ROUNDING), **changes.of(Kind.PER_SAMPLE)}
    if rounding:
        yield (
            f"changed since the run began, which changes rounding at most: {listed(rounding)}; from step {step} on the "
            "numbers are no longer bit by bit those of a run without the change"
        )
    if length := changes.of(Kind.LENGTH).get("train.epochs"):
        yield _extended(length, run, steps, step)


def _extended(length: Pair, run: Run, steps: Length, step: int) -> str:
    """From which rates to which a run jumps."""
    old, new = length
    before = Position(max(step - 1, 0), old * steps.steps_per_epoch, steps.steps_per_epoch)
    after = Position(step, steps.total, steps.steps_per_epoch)
    rates = {"learning rate": run.rates.lr, "weight decay": run.rates.weight_decay}
    jumps = ", ".join(f"{name} {rate(before):.3g} -> {rate(after):.3g}" for name, rate in rates.items())
    return (
        f"extended from {old} to {new} epochs: from step {step} on all schedules are those of {new} epochs ({jumps}); "
        "weights, optimizer and step stay"
    )
