"""``sslkit predict``: classes of any images, by a classifier that an evaluator of a run saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sslkit.engine.distributed import choose_device, is_first, process_group
from sslkit.engine.files import replacing
from sslkit.engine.precision import Precision
from sslkit.engine.processor import processor
from sslkit.errors import UserError
from sslkit.evaluation.frozen import FrozenBackbone
from sslkit.evaluation.saved_classifier import SavedClassifier, fingerprint, read_classifier
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset, Split
from sslkit.parts.paths import home_path
from sslkit.parts.weight_names import problems
from sslkit.plugins.manager import load_registry
from sslkit.recipe.overrides import Override, overrides_from
from sslkit.report.classifiers import chosen_classifier
from sslkit.report.console import say
from sslkit.report.evaluation import loading
from sslkit.report.judged import Judged, find_run
from sslkit.report.out_file import check_out
from sslkit.report.trained import PREDICT, Net, Trained

_SPLITS: tuple[Split, ...] = ("train", "test")
#: What a spreadsheet would take for a formula at the start of a cell.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def predict(
    run_or_file: str | Path,
    images: str | Path | None,
    out: str | Path | None = None,
    *,
    classifier: str | Path | None = None,
    which: Net | None = None,
    overrides: Mapping[str, Any] | None = None,
    plugins: Sequence[str | Path] | str | Path = (),
) -> pd.DataFrame:
    """Classify images with what an evaluator of a run trained (``finetune``, ``linear``, ``linear_cached``).

    Args:
        run_or_file: a run folder, one of its checkpoints, or with ``backbone`` in ``overrides`` a file of weights.
        images: a folder of images; None: those of the section ``data`` in ``overrides``.
        out: ``FILE.csv`` or ``FILE.parquet``; None: nothing is written.
        classifier: an evaluator's id, ``NET/ID``, or a file; None: the only one there is.
        which: the net; None: whichever has such a classifier.
        overrides: of ``data``, ``train`` and, with a file of weights, ``backbone`` and ``preprocess``.
        plugins: single-file plugins that are needed.

    Returns:
        one row an image that could be read: ``path``, ``class`` and ``probability``.

    Raises:
        UserError: if there is no such run or classifier, it is of other weights, or no image can be read.
    """
    path, given = home_path(run_or_file), overrides_from(overrides or {})
    is_file = "backbone" in _sections(given) and not path.is_dir()
    return predict_images(
        Trained(path, is_file, which, load_registry(plugins)),
        None if images is None else home_path(images),
        None if out is None else home_path(out),
        None if classifier is None else str(classifier),
        given,
    )


def predict_images(
    trained: Trained, images: Path | None, out: Path | None, classifier: str | None, overrides: Sequence[Override]
) -> pd.DataFrame:
    """The same, with the backbone and overrides as the command line or Python names them."""
    if out is not None:
        check_out(out, (".csv", ".parquet"))
    _check_given(trained, images, overrides)
    if trained.is_file:
        shown, homes = f"--weights {trained.path}", [Path("evaluations") / trained.path.stem]
    else:
        run, _ = find_run(trained.path)
        shown, homes = str(run), [run / "pictures", run / "evaluations"]
    net, file = chosen_classifier(shown, homes, classifier, trained.which, trained.registry)
    saved = read_classifier(file)
    named = overrides_from({"data": "image_folder", "data.root": str(images)} if images is not None else {})
    known: Net | None = "teacher" if net == "teacher" else "student" if net == "student" else trained.which
    found = replace(trained, which=known).load([*named, *overrides])
    _bring_weights(found, saved, file)
    table = _classified(found, saved)
    if out is not None and is_first():
        _write(out, table)
        say(f"{len(table)} images, {len(saved.classifier.classes)} classes, by {file}: {out}")
    return table


def _check_given(trained: Trained, images: Path | None, overrides: Sequence[Override]) -> None:
    """Whether there are images, named once, and nothing is given that would not count."""
    trained.check(overrides, PREDICT)
    if "preprocess" in _sections(overrides) and not trained.is_file:
        raise UserError("preprocess: a classifier sees images as it was trained with them; leave it out")
    if images is None:
        return
    twice = [override.key for override in overrides if override.key in ("data", "data.name", "data.root")]
    if twice:
        raise UserError(f"both the folder {images} and {twice[0]} are given; give one")
    if not images.is_dir():
        what = "this is a file; name the folder that holds it" if images.exists() else "there is no such folder"
        raise UserError(f"{images}: {what}")


def _sections(overrides: Sequence[Override]) -> set[str]:
    return {str(override.key).split(".")[0] for override in overrides}


def _bring_weights(found: Judged, saved: SavedClassifier, file: Path) -> None:
    """Load the weights that were trained with the classifier, or check that it was trained on these."""
    own = saved.classifier.backbone
    if own is None:
        if fingerprint(found.backbone) != saved.fingerprint:
            raise UserError(
                f"{file}: was trained on other weights than those of {found.shown}; name the checkpoint that it is of "
                f"(RUN/checkpoints/step-N), or train it again: sslkit eval {found.shown} {file.parent.name}"
            )
        return
    if misfits := problems(found.backbone, own, counters=True):
        what, names = next(iter(misfits.items()))
        raise UserError(f"{file}: its weights do not fit the backbone of {found.shown}: {what}: {names[0]}")
    found.backbone.load_state_dict(dict(own), strict=True)


def _classified(found: Judged, saved: SavedClassifier) -> pd.DataFrame:
    by = replace(found.by, preprocess=saved.preprocess)
    device = choose_device(by.train.device)
    with processor(device, None), process_group(device):
        dtype = Precision(by.train.precision, device).dtype
        backbone = found.backbone.to(device)
        with FrozenBackbone(backbone, device=device, precision=dtype, **loading(by)) as frozen:
            rows = _rows(frozen, backbone, found.data, saved)
        for image in frozen.bad if is_first() else []:
            say(f"left out, unreadable: {image.name} ({image.reason})")
        if not rows:
            first = f"; the first: {frozen.bad[0].name}: {frozen.bad[0].reason}" if frozen.bad else ""
            raise UserError(f"not one image of the data could be read{first}; nothing is written")
        if frozen.bad:
            say(f"{len(frozen.bad)} of {len(rows) + len(frozen.bad)} images are left out, unreadable")
    return pd.DataFrame(rows, columns=["path", "class", "probability"])


def _rows(
    frozen: FrozenBackbone, backbone: Backbone, data: Dataset, saved: SavedClassifier
) -> list[tuple[str, str, float]]:
    rows: list[tuple[str, str, float]] = []
    for split in _SPLITS:
        images = data.split(split)
        if images is None:
            continue
        found = frozen.features(images, extract=partial(saved.classifier.logits, backbone))
        if not len(found.indices):
            continue
        shares, labels = torch.softmax(found.x.double(), dim=1).max(dim=1)
        for index, share, label in zip(found.indices.tolist(), shares.tolist(), labels.tolist(), strict=True):
            rows.append((images.location(index), saved.classifier.classes[label], share))
    return rows


def _write(out: Path, table: pd.DataFrame) -> None:
    try:
        with replacing(out) as file:
            if out.suffix == ".parquet":
                table.to_parquet(file, index=False)
            else:
                # a spreadsheet runs formulas: a quote in front makes them text
                harmless = table.map(lambda cell: f"'{cell}" if str(cell).startswith(_FORMULA) else cell)
                harmless.to_csv(file, index=False, lineterminator="\n")
    except ImportError:
        raise UserError(f"--out {out}: parquet needs pyarrow; pip install 'sslkit[parquet]', or use .csv") from None
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from error
