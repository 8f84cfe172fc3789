"""The revisited Oxford and Paris data sets on disk (Radenovic et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.errors import UserError
from sslkit.parts import ImageFiles
from sslkit_evaluators.plain_pickle import read_plain_pickle
from sslkit_evaluators.ranked_lists import Wanted


@dataclass(frozen=True)
class Revisited:
    """One of the two data sets.

    Attributes:
        database: the images that are searched.
        queries: the images that are searched for.
        boxes: left, top, right and bottom of each query's object in pixels.
        easy, hard, junk: indices of the database, for each query.
    """

    database: ImageFiles
    queries: ImageFiles
    boxes: tuple[tuple[float, ...], ...]
    easy: tuple[np.ndarray, ...]
    hard: tuple[np.ndarray, ...]
    junk: tuple[np.ndarray, ...]

    def medium_wanted(self) -> list[Wanted]:
        """Easy and hard images are right, junk is ignored."""
        return [
            Wanted(np.concatenate([easy, hard]), junk)
            for easy, hard, junk in zip(self.easy, self.hard, self.junk, strict=True)
        ]

    def hard_wanted(self) -> list[Wanted]:
        """Hard images are right, junk and easy ones are ignored."""
        return [
            Wanted(hard, np.concatenate([easy, junk]))
            for easy, hard, junk in zip(self.easy, self.hard, self.junk, strict=True)
        ]


def read_revisited(root: Path, name: str) -> Revisited:
    """Read ``root/NAME/gnd_NAME.pkl``; the images lie in ``root/NAME/jpg``.

    Raises:
        UserError: if files lack, or the list is not what it should be.
    """
    folder = root / name
    file = folder / f"gnd_{name}.pkl"
    if not file.is_file():
        raise UserError(
            f"root: there is no {file}; expected are {name}/gnd_{name}.pkl and {name}/jpg/*.jpg in the folder root"
        )
    found = read_plain_pickle(file)
    try:
        known, asked, truth = found["imlist"], found["qimlist"], found["gnd"]
        columns = {key: tuple(_indices(row[key], len(known)) for row in truth) for key in ("easy", "hard", "junk")}
        boxes = tuple(tuple(map(float, row["bbx"])) for row in truth)
        paths = [[folder / "jpg" / f"{image}.jpg" for image in images] for images in (known, asked)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{file} is no list of the revisited benchmark: {type(error).__name__} {error}; it has imlist, qimlist and "
            "gnd, with bbx, easy, hard and junk for each query"
        ) from error
    if not len(known) or not len(truth) == len(asked) > 0:
        raise UserError(f"{file} lists {len(known)} images, {len(asked)} queries and what is right for {len(truth)}")
    missing = [path for path in (*paths[0], *paths[1]) if not path.is_file()]
    if missing:
        raise UserError(f"root: {len(missing)} images that {file} lists are not there; the first is {missing[0]}")
    return Revisited(ImageFiles(paths[0]), ImageFiles(paths[1]), boxes, **columns)


def _indices(given: Any, count: int) -> np.ndarray:
    indices = np.asarray(given, dtype=np.int64).reshape(-1)
    if len(indices) and not 0 <= indices.min() <= indices.max() < count:
        raise ValueError(f"index {indices.max()} of {count} images")
    return indices
