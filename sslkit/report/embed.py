"""``sslkit embed``: a run's features of any images, with their paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sslkit.engine.build import build_backbone
from sslkit.engine.distributed import choose_device, is_first, process_group
from sslkit.engine.precision import Precision
from sslkit.errors import UserError
from sslkit.evaluate.frozen import FrozenBackbone
from sslkit.parts.dataset import Dataset, Split
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override
from sslkit.report.console import say
from sslkit.report.evaluation import loading
from sslkit.report.load import Which, find_run, judged_data, restore_backbone

SPLITS: tuple[Split, ...] = ("train", "test")


def embed_run(
    run: Path, out: Path, which: Which | None, overrides: Sequence[Override], plugins: tuple[Path, ...] = ()
) -> None:
    """Write the features of every readable image: one row an image, with its name, split and label.

    Args:
        run: a run folder or one of its checkpoints.
        out: ``.npz`` (arrays ``features [N, D]``, ``names``, ``splits``, ``labels``; -1 without a label) or
            ``.parquet`` (columns ``name``, ``split``, ``label`` and ``f0`` ... ``f{D-1}``).
        which: the net; None: the teacher, or the student where there is no teacher.
        overrides: of the run's recipe, such as other data.
        plugins: single-file plugins that the recipe needs.

    Raises:
        UserError: if there is no such run, or ``out`` ends in something else or cannot be written.
    """
    if out.suffix not in (".npz", ".parquet"):
        raise UserError(f"--out {out}: the file's ending names the format; use .npz or .parquet")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}")
    folder, step = find_run(run)
    recipe = load_recipe(folder / "recipe.yaml", overrides, load_registry(plugins))
    device = choose_device(recipe.train.device)
    with process_group(device):
        backbone = build_backbone(recipe)
        net = restore_backbone(backbone, folder, step, which)
        dtype = Precision(recipe.train.precision, device).dtype
        with FrozenBackbone(backbone.to(device), device=device, precision=dtype, **loading(recipe)) as frozen:
            table = _columns(frozen, judged_data(recipe, overrides))
        if not len(table["names"]):
            reasons = "; the first: " + f"{frozen.bad[0].name}: {frozen.bad[0].reason}" if frozen.bad else ""
            raise UserError(f"not one image of the data could be read{reasons}; nothing is written")
        if is_first():
            _write(out, table)
            for image in frozen.bad:
                say(f"left out, unreadable: {image.name} ({image.reason})")
            say(f"{len(table['names'])} images x {table['features'].shape[1]} features of the {net}: {out}")


def _columns(frozen: FrozenBackbone, data: Dataset) -> dict[str, np.ndarray]:
    columns: dict[str, list[np.ndarray]] = {"features": [], "names": [], "splits": [], "labels": []}
    for split in SPLITS:
        images = data.split(split)
        if images is None:
            continue
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
