"""``python -m sslkit_dino.golden FILE.npz``: does sslkit compute what the reference DINO computed?

Golden files hold what the reference implementation computed on tiny inputs: a training from given weights and views, or
the evaluators' numbers, or both. The training runs through a recipe, the registries and the engine's own step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from sslkit.errors import UserError
from sslkit.testing import Agreement, Sheet
from sslkit_dino.golden_rows import compare_training
from sslkit_evaluators.golden import compare_evaluators
from sslkit_vision.golden import compare_vision


def compare(file: Path) -> list[Agreement]:
    """One row for each quantity of a golden file.

    Raises:
        UserError: if it is none.
    """
    return compared(file).rows


def compared(file: Path) -> Sheet:
    """The rows of a golden file, and what could be compared but is not in it: any quantity may be missing.

    Raises:
        UserError: if it is none.
    """
    try:
        with np.load(file) as stored:
            golden = dict(stored)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file}: cannot be read as a golden file (.npz): {error}") from error
    sheet = Sheet(golden)
    # sums of another number of threads round otherwise
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for part in (compare_training, compare_evaluators, compare_vision):
            part(sheet)
    except KeyError as error:
        raise UserError(f"{file}: incomplete golden file: {error} is missing") from error
    finally:
        torch.set_num_threads(threads)
    if not sheet.rows:
        raise UserError(f"{file}: holds none of the quantities of a golden file, such as losses or retrieval/mAP_M")
    return sheet


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 if everything agrees, 1 if not, 2 if the file is none."""
    words = argparse.ArgumentParser(prog="python -m sslkit_dino.golden", description=__doc__.splitlines()[0])
    words.add_argument("file", type=Path, metavar="FILE.npz", help="what the reference computed")
    args = words.parse_args(argv)
    try:
        sheet = compared(args.file)
    except UserError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", markup=False)
        return 2
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{'quantity':52} {'worst':>8} {'fair':>6}  relative to")
    for row in sheet.rows:
        verdict = "ok" if row.ok else "OUT"
        console.print(
            f"{row.quantity:52} {row.difference:8.1e} {row.tolerance:6.0e}  {row.unit:32} {verdict}", markup=False
        )
    for quantity in sheet.left_out:
        console.print(f"{quantity:52} left out: not in the file", markup=False)
    count, out = len(sheet.rows), sum(not row.ok for row in sheet.rows)
    left = f"; {len(sheet.left_out)} left out" if sheet.left_out else ""
    console.print(f"{count - out} of {count} quantities agree" + (f"; {out} are out" if out else "") + left)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
