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
from sslkit.testing import Agreement
from sslkit_dino.golden_rows import training_rows
from sslkit_evaluators.golden import evaluator_rows
from sslkit_vision.golden import vision_rows


def compare(file: Path) -> list[Agreement]:
    """One row for each quantity of a golden file.

    Raises:
        UserError: if it is none.
    """
    try:
        with np.load(file) as stored:
            golden = dict(stored)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file}: cannot be read as a golden file (.npz): {error}") from error
    # sums of another number of threads round otherwise
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [*training_rows(golden), *evaluator_rows(golden), *vision_rows(golden)]
    except KeyError as error:
        raise UserError(f"{file}: is no whole golden file: it has no {error}") from error
    finally:
        torch.set_num_threads(threads)
    if not rows:
        raise UserError(f"{file}: holds none of the quantities of a golden file, such as losses or retrieval/mAP_M")
    return rows


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 if everything agrees, 1 if not, 2 if the file is none."""
    words = argparse.ArgumentParser(prog="python -m sslkit_dino.golden", description=__doc__.splitlines()[0])
    words.add_argument("file", type=Path, metavar="FILE.npz", help="what the reference computed")
    args = words.parse_args(argv)
    try:
        rows = compare(args.file)
    except UserError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", markup=False)
        return 2
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{'quantity':52} {'worst':>8} {'fair':>6}  relative to")
    for row in rows:
        verdict = "ok" if row.ok else "OUT"
        console.print(
            f"{row.quantity:52} {row.difference:8.1e} {row.tolerance:6.0e}  {row.unit:32} {verdict}", markup=False
        )
    out = sum(not row.ok for row in rows)
    console.print(f"{len(rows) - out} of {len(rows)} quantities agree" + (f"; {out} are out" if out else ""))
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
