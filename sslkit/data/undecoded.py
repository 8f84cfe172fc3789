"""What an image's file says before Pillow decodes it, and forgets it."""

from __future__ import annotations

from PIL.Image import Image
from PIL.ImageFile import ImageFile


def decoder_arguments(image: Image) -> tuple[object, ...]:
    """What Pillow's decoder will be called with, such as the layout of the file's numbers; empty once it is decoded."""
    if not isinstance(image, ImageFile) or not image.tile:
        return ()
    arguments = image.tile[0][3]
    return arguments if isinstance(arguments, tuple) else (arguments,)


def bytes_before_pixels(image: Image) -> bytes:
    """The beginning of its file; empty once it is decoded."""
    if not isinstance(image, ImageFile) or not image.tile:
        return b""
    return file_bytes(image, image.tile[0][2])


def file_bytes(image: Image, count: int = -1) -> bytes:
    """The first bytes of the file of an image that is not decoded yet; by default all of them."""
    if not isinstance(image, ImageFile) or image.fp is None:
        return b""
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read(count)
    image.fp.seek(place)
    return content
