"""Whether a recipe's views are far smaller than the images: it was made for other images then."""

from __future__ import annotations

import statistics
from contextlib import suppress

from sslkit.data.reading import UnreadableImage, read_image
from sslkit.errors import blame
from sslkit.parts.dataset import Images
from sslkit.parts.preprocess import DEFAULT_VALUES, Values

#: Views of this many pixels or more are made for photographs, however large those are.
_FOR_PHOTOGRAPHS = 96
#: An image whose short side is this many times the largest view is seen through a keyhole, or as a thumbnail.
_FAR = 3
#: Images that are looked at, spread over the data.
_LOOKED_AT = 5


def median_short_side(images: Images, channels: int, values: Values = DEFAULT_VALUES) -> float:
    """The median of the short sides of a handful of readable images in pixels; 0 if none can be read.

    Raises:
        RunError: if the data set itself fails.
    """
    sides = []
    for index in range(0, len(images), max(1, len(images) // _LOOKED_AT)):
        with blame("the data set", f"on image {index}"), suppress(UnreadableImage):
            sides.append(min(read_image(images, index, channels, values=values).size))
        if len(sides) == _LOOKED_AT:
            break
    return statistics.median(sides) if sides else 0.0


def too_small(largest_view: int, short_side: float) -> str | None:
    """A sentence if the largest view is far below the images' size; else None.

    Args:
        largest_view: its side in pixels.
        short_side: the images' median short side in pixels.
    """
    if largest_view >= _FOR_PHOTOGRAPHS or short_side < _FAR * largest_view:
        return None
    return (
        f"the images' median short side is {short_side:.0f} pixels and the largest view has {largest_view}: this "
        "recipe was made for small images; for photographs take --recipe photos (224 pixels) or photos_small (96), or "
        "make the views of augment and preprocess.size larger"
    )
