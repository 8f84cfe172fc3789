"""Colour jitter and grayscale of a batch of views on the training device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.parts import WholeImages

_LUMA = (0.299, 0.587, 0.114)
#: The operations that are affine maps, as :data:`sslkit_vision.pixel_ops.JITTER` numbers them, and the one that is not.
_AFFINE, _HUE = ("brightness", "contrast", "saturation"), 3


def recolour(groups: Sequence[Tensor], views: WholeImages, reach: tuple[float, float, float, float]) -> list[Tensor]:
    """Colour jitter and grayscale, rounded before and after the turn of the hue, and at the end.

    Args:
        groups: views by size, in the order of the draws: ``[V, B, C, H, W]``, whole numbers from 0 to 255; C is 3 or 1.
        views: with the draws ``jitter``, ``order``, ``brightness``, ``contrast``, ``saturation``, ``hue``, ``gray``.
        reach: of brightness, contrast, saturation and hue; 0: off.
    """
    channels = groups[0].shape[2]
    colours = [pixels.expand(-1, -1, 3, -1, -1) for pixels in groups]
    acts = (views.draw("jitter") > 0)[..., None]
    if reach[_HUE]:
        after = (views.draw("order") == _HUE).cumsum(dim=-1) > 0
        colours = _mapped(colours, _folded(colours, _factors(views, acts & ~after)))
        turns = torch.where(acts[..., 0], views.draw("hue"), 0.0)
        colours = [_turned(pixels, of) for pixels, of in zip(colours, _by_group(turns, colours), strict=True)]
        acts = acts & after
    grey = views.draw("gray") > 0
    return [pixels[:, :, :channels] for pixels in _mapped(colours, _folded(colours, _factors(views, acts), grey))]


def _factors(views: WholeImages, acts: Tensor) -> Tensor:
    """Of brightness, contrast and saturation, 1 where they are not to be done: ``[V, B, 3]``.

    Args:
        views: with the factors and their order.
        acts: whether the operation at a place of the order is to be done, ``[V, B, 4]``, or ``[V, B, 1]`` for all.
    """
    numbers = torch.arange(len(_AFFINE), device=acts.device)[:, None]
    wanted = ((views.draw("order")[..., None, :] == numbers) & acts[..., None, :]).any(dim=-1)
    return torch.where(wanted, torch.stack([views.draw(name) for name in _AFFINE], dim=-1), 1.0)


def _folded(groups: Sequence[Tensor], factors: Tensor, grey: Tensor | None = None) -> Tensor:
    """Brightness, contrast and saturation, in whatever order, as one affine map of each view: ``[V, B, 3, 4]``, the
    offset last.

    While nothing is cut off they commute: saturation keeps the luma, and contrast moves away from its mean, which
    brightness multiplies as it does the colours.

    Args:
        groups: views by size.
        factors: ``[V, B, 3]``.
        grey: ``[V, B]``, whether the luma takes the place of the colours afterwards; None: nowhere.
    """
    brightness, contrast, saturation = factors.unbind(-1)
    # filled on the device: sent there it would be waited for
    luma = torch.stack([torch.full((3,), share, device=factors.device) for share in _LUMA], dim=1)
    mean = torch.cat([pixels.mean(dim=(-2, -1), dtype=torch.float32) for pixels in groups]) @ luma[0]
    whole, offset = brightness * contrast, brightness * (1 - contrast) * mean
    own = whole * saturation if grey is None else torch.where(grey, 0.0, whole * saturation)
    square = own[..., None, None] * torch.eye(3, device=factors.device) + (whole - own)[..., None, None] * luma
    return torch.cat([square, offset[..., None, None].expand(-1, -1, 3, 1)], dim=-1)


def _mapped(groups: Sequence[Tensor], whole: Tensor) -> list[Tensor]:
    """The views through their maps, rounded and cut off."""
    found = []
    for pixels, own in zip(groups, _by_group(whole.flatten(2), groups), strict=True):
        maps = own.unflatten(2, (3, 4)).flatten(0, 1)
        flat = pixels.flatten(-2).flatten(0, 1).float()
        made = torch.baddbmm(maps[..., 3:], maps[..., :3], flat)
        found.append(made.round_().clamp_(0, 255).to(pixels.dtype).view_as(pixels))
    return found


def _by_group(values: Tensor, groups: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.split(values, [len(pixels) for pixels in groups])


def _turned(colours: Tensor, turns: Tensor) -> Tensor:
    """The hue of colours ``[V, B, 3, H, W]`` turned by shares of the circle ``[V, B]``, rounded."""
    red, green, blue = colours.float().unbind(2)
    least, value = colours.float().aminmax(dim=2)
    spread = value - least
    safe = spread.clamp_min(1e-3)
    # the hue in sixths of the circle, by which of the three is the largest
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue += 6 * turns[..., None, None]
    found = []
    for sixth in (5, 3, 1):
        place = (hue + sixth).remainder_(6)
        found.append(value - spread * torch.minimum(place, 4 - place).clamp_(0, 1))
    return torch.stack(found, dim=2).round_().to(colours.dtype)
