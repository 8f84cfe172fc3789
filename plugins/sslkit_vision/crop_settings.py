"""The views of multi-crop, what differs between them, and whether the images have the colours that it changes."""

from __future__ import annotations

from dataclasses import dataclass

from sslkit.errors import UserError
from sslkit.parts import ViewSpec
from sslkit_vision.colour_jitter import ColourJitter


@dataclass(frozen=True)
class OfView:
    """What differs between the views."""

    scale: tuple[float, float]
    blur: float
    solarize: float


def by_view(
    views: tuple[ViewSpec, ...],
    global_crops: int,
    scales: tuple[tuple[float, float], tuple[float, float]],
    blur: tuple[float, float, float],
    solarize: tuple[float, float, float],
) -> dict[str, OfView]:
    """What differs, by view id; of triples the first is for the first large crop, then other large and small ones."""
    first, other, local = (OfView(scales[row > 1], blur[row], solarize[row]) for row in range(3))
    kinds = [first, *[other] * (global_crops - 1)] if global_crops else []
    kinds += [local] * (len(views) - global_crops)
    return {view.id: kind for view, kind in zip(views, kinds, strict=True)}


def name_views(
    global_crops: int, local_crops: int, apart: bool, global_size: int, local_size: int
) -> tuple[ViewSpec, ...]:
    """The views of a multi-crop, large ones first.

    Raises:
        UserError: if there are none, or a number is no number of crops or pixels.
    """
    for key, count in (("global_crops", global_crops), ("local_crops", local_crops)):
        if count < 0:
            raise UserError(f"{key} is {count}: a number of crops is 0 or more")
    for key, size in (("global_size", global_size), ("local_size", local_size)):
        if size < 1:
            raise UserError(f"{key} is {size}: a crop has at least 1 pixel a side")
    if global_crops + local_crops == 0:
        raise UserError("global_crops and local_crops are both 0: at least one crop is needed")
    if apart and global_crops < 2:
        raise UserError(f"apart needs a large crop for each net, and global_crops is {global_crops}: take 2")
    return (
        *(ViewSpec(f"global{i}", global_size, not (apart and i), not apart or i > 0) for i in range(global_crops)),
        *(ViewSpec(f"local{i}", local_size, teacher=False) for i in range(local_crops)),
    )


def check_colour(channels: int, jitter: ColourJitter, grayscale: float) -> None:
    """Whether the images have the colours that are to be changed.

    Raises:
        UserError: if not, naming the options to set to 0.
    """
    if channels < 1:
        raise UserError(f"preprocess.channels is {channels}: an image has at least 1")
    acting = {
        "saturation": jitter.saturation if jitter.chance else 0,
        "hue": jitter.hue if jitter.chance else 0,
        "grayscale": grayscale,
    }
    to_set = ", ".join(f"augment.{key} 0" for key, value in acting.items() if value)
    if channels not in (1, 3) and to_set:
        raise UserError(
            f"preprocess.channels is {channels}: only images of 3 channels (RGB) or 1 (grey) have colours to change; "
            f"set {to_set}"
        )
