"""What a data set's splits hold, in words: images, classes and their sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sslkit.parts.dataset import Images

#: Up to this many classes are listed one by one.
_LISTED = 10


def split_lines(splits: Mapping[str, Images | None]) -> list[str]:
    """A line for each split that there is, such as ``train: 3,000 images in 2 classes (cat 1,750, dog 1,250)``."""
    return [f"{name}: {_words(images)}" for name, images in splits.items() if images is not None]


def class_sizes(images: Images) -> dict[str, int]:
    """The number of images by class, in the order of the labels; empty without labels."""
    if images.classes is None:
        return {}
    counts = Counter(images.label(index) for index in range(len(images)))
    return {_printable(name): counts[label] for label, name in enumerate(images.classes)}


def _words(images: Images) -> str:
    count = f"{len(images):,} image{'' if len(images) == 1 else 's'}"
    sizes = class_sizes(images)
    if not sizes:
        return f"{count} without labels"
    shown = ", ".join(f"{name} {size:,}" for name, size in list(sizes.items())[:_LISTED])
    if len(sizes) > _LISTED:
        most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
        shown = f"the largest {most} {sizes[most]:,}, the smallest {least} {sizes[least]:,}"
    return f"{count} in {len(sizes):,} class{'' if len(sizes) == 1 else 'es'} ({shown})"


def _printable(name: str) -> str:
    """A class's name as any terminal shows it: a folder's may hold line ends, or bytes that are no text."""
    text = name.encode(errors="replace").decode()
    return text if text.isprintable() else repr(text)[1:-1]
