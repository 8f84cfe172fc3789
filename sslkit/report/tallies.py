"""Which test images a run's nets classified correctly, before and after training: small files of the run folder."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.engine.files import leftovers, write_bytes
from sslkit.evaluation.intervals import Tally

log = logging.getLogger("sslkit")


def write_tallies(folder: Path, step: int, tallies: Mapping[str, Tally]) -> None:
    """Write ``answers/step-N.npz`` in one step; a full disk costs the intervals and not the run.

    Args:
        folder: the run folder.
        step: optimizer steps done.
        tallies: by ``net/evaluator/metric``.
    """
    file = _file(folder, step)
    packed = io.BytesIO()
    arrays: dict[str, Any] = {name: np.stack([one.right, one.asked]) for name, one in tallies.items()}
    np.savez_compressed(packed, **arrays)
    try:
        # not its parents: a run folder that has been removed is not made again
        file.parent.mkdir(exist_ok=True)
        for left in leftovers(file):
            left.unlink(missing_ok=True)
        write_bytes(file, packed.getvalue())
    except OSError as error:
        log.warning("%s was not written (%s): the closing table will have no intervals", file, error)


def read_tallies(folder: Path, step: int) -> dict[str, Tally]:
    """What :func:`write_tallies` wrote; empty where there is no such file, as in older runs, or it cannot be read."""
    file = _file(folder, step)
    try:
        with np.load(file, allow_pickle=False) as packed:
            return {name: Tally(*packed[name]) for name in packed.files}
    except FileNotFoundError:
        return {}
    except Exception as error:  # noqa: BLE001 - damaged archives raise many kinds; the numbers themselves are elsewhere
        log.warning("%s cannot be read (%s): no intervals are shown", file, error)
        return {}


def _file(folder: Path, step: int) -> Path:
    return folder / "answers" / f"step-{step:08d}.npz"
