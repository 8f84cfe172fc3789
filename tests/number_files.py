"""Writes image files of numbers that Pillow reads and cannot write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def tiff(path: Path, *pages: np.ndarray, form: int = 1, bits: int | None = None, photometric: int = 1) -> Path:
    """A TIFF of grey pages ``[H, W]``, uncompressed.

    Args:
        path: the file.
        pages: in the file's byte order.
        form: 1 unsigned, 2 signed, 3 float.
        bits: of a number; None: as many as the array has. With 12, ``pages`` are the packed bytes ``[H, W * 12 / 8]``.
        photometric: 0: white is zero.
    """
    content = b"II*\0" + struct.pack("<I", 8)
    for place, page in enumerate(pages):
        width = page.shape[1] if bits != 12 else page.shape[1] * 8 // 12
        after = len(content) + 2 + 10 * 12 + 4
        tags = [
            (256, 4, width), (257, 4, page.shape[0]), (258, 3, bits or 8 * page.itemsize), (259, 3, 1),
            (262, 3, photometric), (273, 4, after), (277, 3, 1), (278, 4, page.shape[0]), (279, 4, page.nbytes),
            (339, 3, form),
        ]  # fmt: skip
        content += struct.pack("<H", len(tags))
        for tag, kind, value in tags:
            content += struct.pack("<HHI", tag, kind, 1) + struct.pack(
                "<HH" if kind == 3 else "<I", value, *[0][: kind == 3]
            )
        last = place + 1 == len(pages)
        content += struct.pack("<I", 0 if last else after + page.nbytes) + page.tobytes()
    path.write_bytes(content)
    return path


def png(path: Path, values: np.ndarray, colour: int, bits: int = 16, transparent: bytes = b"") -> Path:
    """A PNG of ``[H, W, C]``; ``colour`` 0: grey, 2: RGB, 4: grey and alpha, 6: RGBA.

    Args:
        path: the file.
        values: of 16 bits, or the packed bytes of a row for fewer than 8.
        colour: see above.
        bits: of a number.
        transparent: the content of tRNS.
    """
    rows = values.astype(">u2" if bits == 16 else "u1")
    width = values.shape[1] * max(1, 8 // bits)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, values.shape[0], bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"tRNS", transparent)] if transparent else []), (b"IDAT", zlib.compress(raw))]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in [*chunks, (b"IEND", b"")]:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def fits(path: Path, values: np.ndarray, bits: int, **keys: float) -> Path:
    """A FITS file of ``[H, W]`` or ``[P, H, W]`` in big-endian order; its first row is the picture's last."""
    cards = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": values.ndim}
    cards |= {f"NAXIS{axis + 1}": length for axis, length in enumerate(reversed(values.shape))}
    text = "".join(f"{key:8}= {value:>20}".ljust(80) for key, value in {**cards, **keys}.items()) + "END".ljust(80)
    data = values.tobytes()
    path.write_bytes(text.ljust(-(-len(text) // 2880) * 2880).encode() + data + bytes(-len(data) % 2880))
    return path


def pgm(path: Path, values: np.ndarray, most: int) -> Path:
    """A binary PGM of 16 bits ``[H, W]`` whose white is ``most``."""
    path.write_bytes(b"P5\n%d %d\n%d\n" % (*values.shape[::-1], most) + values.astype(">u2").tobytes())
    return path
