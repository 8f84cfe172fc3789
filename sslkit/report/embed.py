"""``sslkit embed``: a trained backbone's features of any images, with their paths."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from sslkit.engine.distributed import choose_device, is_first, process_group
from sslkit.engine.precision import Precision
from sslkit.engine.processor import processor
from sslkit.errors import UserError
from sslkit.evaluation.frozen import FrozenBackbone
from sslkit.evaluation.runner import Progress
from sslkit.evaluation.splits import SplitsOnce
from sslkit.parts.dataset import Dataset, Split
from sslkit.report.console import evaluation_bar, logging_to, say
from sslkit.report.evaluation import loading, reasons_by_name
from sslkit.report.judged import Judged
from sslkit.report.results import Embedding

SPLITS: tuple[Split, ...] = ("train", "test")
#: Of the files that features can be written to.
ENDINGS = (".npz", ".parquet")


def embed(found: Judged, out: Path | None = None) -> Embedding:
    """The features of every readable image: one row an image, with its name, split and label.

    Args:
        found: the backbone and the images.
        out: a file that they are also written to, or None. ``.npz``: arrays ``features [N, D]``, ``names``, ``splits``,
            ``labels`` (-1 without a label). ``.parquet``: columns ``name``, ``split``, ``label``, ``f0`` to ``f{D-1}``.

    Raises:
        UserError: if ``out`` cannot be written, or no image can be read.
    """
    train = found.by.train
    device = choose_device(train.device)
    with processor(device, None), process_group(device), logging_to(None):
        precision = Precision(train.precision, device)
        precision.warn_if_slow()
        splits, net, dtype = SplitsOnce(found.data), found.backbone.to(device), precision.dtype
        frozen = FrozenBackbone(net, device=device, precision=dtype, place=splits.place, **loading(found.by))
        with frozen, evaluation_bar() as progress:
            table = _columns(frozen, splits, progress)
        if not len(table["names"]):
            reasons = "; the first: " + f"{frozen.bad[0].name}: {frozen.bad[0].reason}" if frozen.bad else ""
            raise UserError(f"not one image of the data could be read{reasons}; nothing is written")
        if is_first() and out is not None:
            _write(out, table)
    unreadable = reasons_by_name(frozen.bad)
    return Embedding(**table, net=found.net, file=out, unreadable=unreadable)


def show_embedding(result: Embedding) -> None:
    """Print what was written."""
    for name, reason in result.unreadable.items():
        say(f"left out, unreadable: {name} ({reason})")
    say(f"{len(result)} images x {result.features.shape[1]} features of the {result.net}: {result.file}")


def _columns(frozen: FrozenBackbone, data: Dataset, progress: Progress) -> dict[str, np.ndarray]:
    columns: dict[str, list[np.ndarray]] = {"features": [], "names": [], "splits": [], "labels": []}
    for split in SPLITS:
        images = data.split(split)
        if images is None:
            continue
        frozen.progress = partial(progress, f"features of {split} images")
        found = frozen.features(images)
        count = len(found.indices)
        columns["features"].append(found.x.cpu().numpy())
        columns["names"].append(np.array([images.name(index) for index in found.indices.tolist()], dtype=str))
        columns["splits"].append(np.full(count, split))
        columns["labels"].append(np.full(count, -1) if found.labels is None else found.labels.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _write(out: Path, table: dict[str, np.ndarray]) -> None:
    try:
        if out.suffix == ".npz":
            np.savez(
                out, features=table["features"], names=table["names"], splits=table["splits"], labels=table["labels"]
            )
            return
        frame = pd.DataFrame(table["features"]).add_prefix("f")
        for place, (column, source) in enumerate([("name", "names"), ("split", "splits"), ("label", "labels")]):
            frame.insert(place, column, table[source])
        frame.to_parquet(out, index=False)
    except ImportError:
        raise UserError(f"--out {out}: parquet needs pyarrow; pip install 'sslkit[parquet]', or use .npz") from None
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from error
