"""Changes of brightness, contrast, saturation and hue, in random order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from sslkit.parts import Draws, Picture
from sslkit_vision import pixel_ops
from sslkit_vision.ranges import between, within

_ORDERS = [list(order) for order in itertools.permutations(range(len(pixel_ops.JITTER)))]


@dataclass(frozen=True)
class ColourJitter:
    """Colour jitter: how likely, and how far each of its four operations goes."""

    chance: float
    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        within("jitter", self.chance, 1)
        within("brightness", self.brightness)
        within("contrast", self.contrast)
        within("saturation", self.saturation)
        within("hue", self.hue, 0.5)

    @property
    def reach(self) -> tuple[float, float, float, float]:
        """How far each operation goes, as :data:`sslkit_vision.pixel_ops.JITTER` numbers them; 0: off."""
        return self.brightness, self.contrast, self.saturation, self.hue

    def draw(self, numbers: Iterator[float]) -> dict[str, float | list[float]]:
        """Takes six numbers."""
        return {
            "jitter": next(numbers) < self.chance,
            "order": list(_ORDERS[int(next(numbers) * len(_ORDERS))]),
            "brightness": between((max(0.0, 1 - self.brightness), 1 + self.brightness), next(numbers)),
            "contrast": between((max(0.0, 1 - self.contrast), 1 + self.contrast), next(numbers)),
            "saturation": between((max(0.0, 1 - self.saturation), 1 + self.saturation), next(numbers)),
            "hue": between((-self.hue, self.hue), next(numbers)),
        }

    def render(self, image: Picture, draws: Draws) -> Picture:
        """The operations that are on, in the order that was drawn."""
        for place in draws["order"]:
            if self.reach[int(place)]:
                name, operation = pixel_ops.JITTER[int(place)]
                image = operation(image, draws[name])
        return image
