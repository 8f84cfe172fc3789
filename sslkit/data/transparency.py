"""Transparent pixels: what is seen where an image shows nothing."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.Image import Image

from sslkit.data.undecoded import decoder_arguments
from sslkit.parts.preprocess import Alpha


def transparent_colour(image: Image) -> int | tuple[int, ...] | None:
    """The colour of a grey or RGB image that is transparent (PNG's tRNS), in 8 bits; None: there is none.

    Args:
        image: not decoded yet: Pillow scales pixels of 1, 2 and 4 bits as it decodes them, and not this colour.
    """
    colour = image.info.get("transparency") if image.mode in ("1", "L", "RGB") else None
    if not isinstance(colour, int | tuple):
        return None
    layout = decoder_arguments(image)
    if isinstance(colour, tuple):
        return tuple(int(value) for value in colour)
    if image.format != "PNG" or not layout:
        return int(colour)
    mode, _, bits = str(layout[0]).partition(";")
    white: int = 2 ** int(bits or (1 if mode == "1" else 8)) - 1
    return int(colour) * 255 // white


def with_alpha(image: Image, colour: int | tuple[int, ...] | None) -> Image:
    """A decoded image with its alpha as a channel that is not premultiplied; the same where it has none.

    Args:
        image: of 8 bits a channel.
        colour: as :func:`transparent_colour` gives it.
    """
    if colour is not None:
        return with_opacity(image, _equal(np.asarray(image.convert("L") if image.mode == "1" else image), colour))
    if image.mode == "PA" or (image.mode == "P" and "transparency" in image.info):
        # Pillow warns when it converts such palettes to RGB in one go
        return image.convert("RGBA")
    if image.mode in ("La", "RGBa"):
        # premultiplied alpha: only the way back is a conversion that Pillow knows
        return image.convert(image.mode.upper())
    return image


def with_opacity(image: Image, clear: np.ndarray) -> Image:
    """A grey or RGB image with alpha 0 where ``clear`` ``[H, W]`` holds, and 255 elsewhere."""
    made = image.convert("L") if image.mode == "1" else image.copy()
    made.info.pop("transparency", None)
    made.putalpha(PIL.Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return made


def _equal(pixels: np.ndarray, colour: int | tuple[int, ...]) -> np.ndarray:
    same = np.equal(pixels, np.array(colour))
    return np.asarray(same if same.ndim == 2 else same.all(axis=2))


def flattened(image: Image, alpha: Alpha) -> Image:
    """An image on white or black ground; with ``drop``, or without alpha, as it is.

    Args:
        image: as :func:`with_alpha` gives it.
        alpha: see :class:`sslkit.parts.Preprocess`.
    """
    if alpha == "drop" or not is_transparent(image):
        return image
    ground = PIL.Image.new("RGBA", image.size, alpha)
    return PIL.Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def is_transparent(image: Image) -> bool:
    """Whether an image, as :func:`with_alpha` gives it, has a pixel that is not opaque."""
    if image.mode not in ("LA", "RGBA"):
        return False
    return bool((np.asarray(image.getchannel("A")) < 255).any())
