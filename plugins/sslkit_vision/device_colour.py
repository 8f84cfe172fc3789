"""Colour jitter and grayscale of a batch of views on the training device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.parts import WholeImages

_LUMA = (0.299, 0.587, 0.114)
#: As :data:`sslkit_vision.pixel_ops.JITTER` numbers the operations; those before the hue are affine maps.
_NAMES = ("brightness", "contrast", "saturation", "hue")
_CONTRAST, _SATURATION, _HUE = 1, 2, 3


def recolour(groups: Sequence[Tensor], views: WholeImages, reach: tuple[float, float, float, float]) -> list[Tensor]:
    """Colour jitter and grayscale, rounded after the turn of the hue and at the end.

    Args:
        groups: views by size, in the order of the draws: ``[V, B, C, H, W]``, whole numbers from 0 to 255; C is 3 or 1.
        views: with the draws ``jitter``, ``order``, ``brightness``, ``contrast``, ``saturation``, ``hue``, ``gray``.
        reach: of brightness, contrast, saturation and hue; 0: off.
    """
    channels = groups[0].shape[2]
    colours = [pixels.expand(-1, -1, 3, -1, -1) for pixels in groups]
    jitter, order = (views.draw("jitter") > 0)[..., None], views.draw("order")
    acts = jitter.expand_as(order)
    if reach[_HUE]:
        # what comes before the turn of the hue in a view's own order, and what comes after it
        after = (order == _HUE).cumsum(dim=-1) > 0
        colours = _mapped(colours, _folded(_means(colours), views, acts & ~after))
        turns = torch.where(jitter[..., 0], views.draw("hue"), 0.0)
        colours = [_turned(pixels, of) for pixels, of in zip(colours, _by_group(turns, colours), strict=True)]
        acts = acts & after
    whole = _folded(_means(colours), views, acts)
    grey = _grey(whole.device)
    whole = torch.where((views.draw("gray") > 0)[..., None, None], grey @ whole, whole)
    return [pixels[:, :, :channels] for pixels in _mapped(colours, whole)]


def _grey(device: torch.device) -> Tensor:
    """The map of colours to their luma, ``[3, 3]``."""
    # filled on the device: sent there it would be waited for
    return torch.stack([torch.full((3,), share, device=device) for share in _LUMA], dim=1)


def _means(groups: Sequence[Tensor]) -> Tensor:
    """The mean colours of all views, ``[V, B, 3, 1]``."""
    return torch.cat([pixels.mean(dim=(-2, -1), dtype=torch.float32) for pixels in groups])[..., None]


def _folded(mean: Tensor, views: WholeImages, acts: Tensor) -> Tensor:
    """Brightness, contrast and saturation as one affine map of each view: ``[V, B, 3, 4]``, the offset last.

    Args:
        mean: colours before the map, ``[V, B, 3, 1]``.
        views: with the factors and their order.
        acts: whether the operation at a place of the order is to be done, ``[V, B, 4]``.
    """
    order, grey = views.draw("order"), _grey(mean.device)
    eye = torch.eye(3, 4, device=mean.device)
    factors = torch.stack([views.draw(name) for name in _NAMES], dim=-1).gather(-1, order.long())
    factors = torch.where(acts & (order != _HUE), factors, 1.0)
    # contrast moves away from the mean luma, and saturation from each pixel's own
    contrast, saturation = (((1 - factors) * (order == place))[..., None, None] for place in (_CONTRAST, _SATURATION))
    steps = factors[..., None, None] * eye[:, :3] + saturation * grey
    means = steps + contrast * grey
    whole = eye.expand(*mean.shape[:2], 3, 4)
    for place in range(order.shape[-1]):
        away = contrast[:, :, place] * (grey @ mean)
        whole = steps[:, :, place] @ whole
        whole[..., 3:] += away
        mean = means[:, :, place] @ mean
    return whole


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
