"""Files that several ranks make, written by each rank into its own folder: on the first one they stay."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from sslkit.parts import gather_items


def png(image: Image) -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_gathered(folder: Path, files: Sequence[tuple[str, bytes]]) -> tuple[Path, ...]:
    """Write all ranks' files, in the order of their names; all ranks must call it together.

    Args:
        folder: an existing one.
        files: this rank's, as paths below the folder and contents.
    """
    paths = []
    for name, content in sorted(gather_items(files)):
        paths.append(folder / name)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(content)
    return tuple(paths)
