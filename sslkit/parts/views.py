"""Augmented views of a batch, as the networks and the losses see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ViewSpec:
    """One view that an augmenter makes of every image.

    Attributes:
        id: its name, unique in the augmenter, such as ``global0`` or ``local3``.
        size: side of the square crop in pixels.
        student: whether the student sees it.
        teacher: whether the teacher sees it.
    """

    id: str
    size: int
    student: bool = True
    teacher: bool = True


@dataclass(frozen=True)
class Views:
    """The views of one micro-batch on the device, normalised.

    Attributes:
        specs: all views, in the augmenter's order.
        images: for each side in pixels, one float tensor ``[V, B, C, H, W]`` of the views of that
            size, in the order of ``specs``.
        indices: ``[B]`` int64, the images' stable indices in the data set.
        labels: ``[B]`` int64, or None for a data set without labels.
    """

    specs: tuple[ViewSpec, ...]
    images: Mapping[int, Tensor]
    indices: Tensor
    labels: Tensor | None

    def for_student(self) -> tuple[ViewSpec, ...]:
        """The views that the student sees, in order."""
        return tuple(spec for spec in self.specs if spec.student)

    def for_teacher(self) -> tuple[ViewSpec, ...]:
        """The views that the teacher sees, in order."""
        return tuple(spec for spec in self.specs if spec.teacher)

    def of(self, view: str) -> Tensor:
        """The images ``[B, C, H, W]`` of the view with this id."""
        spec = next(spec for spec in self.specs if spec.id == view)
        row = [other.id for other in self.specs if other.size == spec.size].index(view)
        return self.images[spec.size][row]
