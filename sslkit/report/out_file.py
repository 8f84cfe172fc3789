"""Whether a table can be written to the file that a user names, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslkit.errors import UserError


def check_out(out: Path, endings: Sequence[str]) -> None:
    """Check the ending and the folder of ``--out``.

    Args:
        out: the file.
        endings: the formats, such as ``.npz``.

    Raises:
        UserError: if its ending names none of them or its folder does not exist.
    """
    if out.suffix not in endings:
        raise UserError(f"--out {out}: the file's ending names the format; use {' or '.join(endings)}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}")
