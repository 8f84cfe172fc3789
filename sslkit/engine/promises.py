"""What parts promise by their contracts, as far as it can be seen before anything is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.parts.backbone import Tokens
from sslkit.parts.dataset import Images
from sslkit.parts.loss import LossTerms
from sslkit.parts.position import Position
from sslkit.parts.schedule import Schedule
from sslkit.parts.views import ViewSpec
from sslkit.recipe.model import PartSpec

#: Attributes that the engine reads of a built part, by kind.
_ATTRIBUTES: dict[str, dict[str, type]] = {
    "backbone": {"embed_dim": int, "stride": int},
    "head": {"out_dim": int},
    "augmenter": {"views": tuple},
    "optimizer": {"lr": Schedule, "weight_decay": Schedule},
}


def check_attributes(spec: PartSpec, part: Any) -> None:
    """Whether a built part has what the engine reads of it.

    Raises:
        UserError: naming plugin, part and contract.
    """
    for name, kind in _ATTRIBUTES.get(spec.kind, {}).items():
        if not isinstance(value := getattr(part, name, None), kind):
            raise spec.breach(f"its {name} is {_called(value)} and not {_a(kind.__name__)}: set it in __init__")
    if spec.kind == "augmenter":
        odd = [view for view in part.views if not isinstance(view, ViewSpec)]
        if odd or not part.views:
            raise spec.breach("its views are to be one or more sslkit.parts.ViewSpec")
    if spec.kind == "loss" and not (isinstance(least := part.images_needed(), int) and least >= 1):
        raise spec.breach(f"its least_batch is {_called(least)} and not a whole number of 1 or more")
    if spec.kind == "schedule":
        value = part(Position(0, 1, 1))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise spec.breach(f"its value is {_called(value)} and not a number")


def check_start(spec: PartSpec, teacher: Any) -> None:
    """Whether a teacher rule's ``start`` gives a net."""
    if teacher is not None and not isinstance(teacher, nn.Module):
        raise spec.breach(f"start gives {_called(teacher)} and not a module like the one that it was given")


def check_created(spec: PartSpec, optimizer: Any) -> None:
    """Whether an optimizer part's ``create`` gives an optimizer."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise spec.breach(f"create gives {_called(optimizer)} and not a torch.optim.Optimizer")


def check_split(spec: PartSpec, images: Any) -> None:
    """Whether a data set's ``split`` gives images, or None."""
    if images is not None and not isinstance(images, Images):
        raise spec.breach(f"split gives {_called(images)} and not sslkit.parts.Images")


def check_view(spec: PartSpec, view: ViewSpec, channels: int, pixels: Any) -> None:
    """Whether an augmenter's ``render`` gives uint8 ``[C, size, size]``."""
    wanted = (channels, view.size, view.size)
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8 or tuple(pixels.shape) != wanted:
        raise spec.breach(f"render gives {_called(pixels)} for the view {view.id!r} and not uint8 {list(wanted)}")


def check_tokens(spec: PartSpec, tokens: Any, count: int, width: int) -> None:
    """Whether a backbone's ``forward`` gives features ``[B, embed_dim]``."""
    if not isinstance(tokens, Tokens):
        raise spec.breach(f"forward gives {_called(tokens)} and not sslkit.parts.Tokens")
    if tuple(tokens.cls.shape) != (count, width):
        raise spec.breach(
            f"forward gives cls of the shape {list(tokens.cls.shape)} for {count} images, and its embed_dim says "
            f"{[count, width]}"
        )


def check_projections(spec: PartSpec, rows: Any, count: int, width: int) -> None:
    """Whether a head's ``forward`` gives ``[B, out_dim]``."""
    if not isinstance(rows, Tensor) or tuple(rows.shape) != (count, width):
        raise spec.breach(f"forward gives {_called(rows)} for {count} samples, and its out_dim says {[count, width]}")


def check_norms(spec: PartSpec, norms: Any, count: int) -> None:
    """Whether a clipper gives the norms ``[n]``."""
    if not isinstance(norms, Tensor) or tuple(norms.shape) != (count,):
        raise spec.breach(f"of {count} gradients it gives {_called(norms)} and not their norms {[count]}")


def check_terms(spec: PartSpec, terms: Any) -> None:
    """Whether a loss's ``forward`` gives a scalar with gradient."""
    if not isinstance(terms, LossTerms):
        raise spec.breach(f"forward gives {_called(terms)} and not sslkit.parts.LossTerms")
    if not isinstance(terms.total, Tensor) or terms.total.ndim:
        raise spec.breach(f"its total is {_called(terms.total)} and not a scalar tensor")
    if not terms.total.requires_grad:
        raise spec.breach("its total has no gradient")
    odd = [name for name, value in terms.logs.items() if not isinstance(value, Tensor) or value.ndim]
    if odd:
        raise spec.breach(f"its log {odd[0]!r} is {_called(terms.logs[odd[0]])} and not a scalar tensor")


def _called(value: Any) -> str:
    if isinstance(value, Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        return f"a {kind} tensor {list(value.shape)}"
    return "None" if value is None else _a(type(value).__name__)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiouAEIOU" else f"a {noun}"
