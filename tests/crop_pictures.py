"""Pictures to crop, and multi-crop with all distortions off."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from sslkit.data.whole import Source
from sslkit.parts.randomness import generator
from sslkit_vision.multicrop import MultiCrop

OFF: dict[str, Any] = {
    "local_crops": 0, "jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
    "grayscale": 0.0, "blur": (0.0, 0.0, 0.0), "solarize": (0.0, 0.0, 0.0),
}  # fmt: skip


def photo(mode: str = "RGB") -> Image.Image:
    """A smooth picture with some grain."""
    y, x = np.mgrid[0:375, 0:500]
    waves = [127 + 100 * np.sin(x / 30), 127 + 100 * np.cos(y / 40), 127 + 90 * np.sin((x + y) / 50)]
    grain = np.random.default_rng(0).normal(0, 6, (375, 500, 3))
    return Image.fromarray((np.stack(waves, -1) + grain).clip(0, 255).astype(np.uint8)).convert(mode)


def sources(part: MultiCrop, images: list[Image.Image]) -> list[Source]:
    """Images on their way, with draws of their own."""
    assert part.on_device is not None
    return [
        Source(
            part.on_device.prepare(image),
            image.size,
            tuple(part.draw(v, *image.size, generator("a view", n, row)) for row, v in enumerate(part.views)),
        )
        for n, image in enumerate(images)
    ]
