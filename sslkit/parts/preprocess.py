"""How a whole image becomes a backbone's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, centre crop, normalise: saved with a run, and carried by ``sslkit.load_backbone``.

    The defaults are ImageNet's statistics; the reference DINO's evaluation (eval_knn.py) is ``size`` 224 with
    ``resize`` 256.

    Args:
        size: side of the square centre crop in pixels; also the size that position embeddings are made for.
        resize: the image's short side is resized to this many pixels before the crop; null: to ``size``.
        interpolation: filter of the resize.
        mean: per channel, in 0..1, subtracted after division by 255.
        std: per channel, in 0..1.
        channels: 3 (images are converted to RGB), 1 (to grayscale), or any other number: then images must have as
            many, and ``mean`` and ``std`` too.
    """

    size: int = 224
    resize: int | None = None
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: int = 3
