"""How a whole image becomes a backbone's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What is put under transparent pixels.
Alpha = Literal["white", "black", "drop"]


@dataclass(frozen=True, kw_only=True)
class Values:
    """How what a file holds becomes 8 bits a channel; see :class:`Preprocess`."""

    alpha: Alpha = "white"
    value_range: tuple[float, float] | None = None


#: What reads images outside a run, too.
DEFAULT_VALUES = Values()


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
        alpha: what is put under transparent pixels, before anything else: ``white``, ``black``; ``drop``: nothing, so
            that colours appear that nobody was meant to see (the reference DINO, and sslkit before this option). Where
            alpha is one of ``channels``, as in 4 of RGBA, it stays.
        value_range: the values that become black and white, as in [0, 4000], for images of more than 8 bits: integers
            or floats in TIFF, PNG, PGM, FITS or ``.npy``; what lies outside is cut off. 8-bit images stay as they are.
            null: 16-bit ones by their full range, floats from 0 to 1 or 0 to 255, and those of other types are
            unreadable.
    """

    size: int = 224
    resize: int | None = None
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: int = 3
    alpha: Alpha = "white"
    value_range: tuple[float, float] | None = None

    @property
    def values(self) -> Values:
        """What reading an image needs to know."""
        return Values(alpha=self.alpha, value_range=self.value_range)
