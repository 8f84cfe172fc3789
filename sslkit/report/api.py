"""``sslkit.fit``, ``sslkit.evaluate``, ``sslkit.embed`` and ``sslkit.export``: the Python calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslkit.parts.paths import home_path
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override, overrides_from
from sslkit.report import embed as embedding
from sslkit.report import export as exporting
from sslkit.report.evaluate_backbone import evaluate_backbone, with_evaluator
from sslkit.report.out_file import check_out
from sslkit.report.results import Embedding, Evaluation, Exported, RunResult
from sslkit.report.trained import EMBED, EVALUATE, EXPORT, Net, Trained
from sslkit.report.training import fit_recipe

Plugins = Sequence[str | Path] | str | Path
#: What a file's weights are of, as in a recipe: a name, or a mapping with it and options.
Part = str | Mapping[str, Any]


def fit(
    recipe: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    fresh: bool = False,
    extend: bool = False,
    plugins: Plugins = (),
) -> RunResult:
    """Train from a recipe; the same call again continues an unfinished run.

    Args:
        recipe: a file, the bare name of a shipped recipe, or a recipe as plain data.
        overrides: dotted keys and values, as in ``{"head.use_bn": True}``.
        out: the run folder; by default ``runs/`` and the recipe's name.
        fresh: start from scratch; an older run in the folder is moved aside.
        extend: let the run in the folder have more (or fewer) epochs than it was begun with, from where it stands.
        plugins: single-file plugins to load besides the installed ones.

    Raises:
        UserError: for whatever a user can mend, in one sentence.
        RunError: if the run cannot go on.
        Stopped: if a signal stopped it.
    """
    registry = load_registry(plugins)
    loaded = load_recipe(recipe, overrides_from(overrides or {}), registry)
    return fit_recipe(loaded, home_path(out) if out else None, fresh, registry, extend)


def evaluate(
    run_or_file: str | Path,
    evaluator: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    which: Net | None = None,
    backbone: Part | None = None,
    out: str | Path | None = None,
    plugins: Plugins = (),
) -> Evaluation:
    """Evaluate a trained backbone; what ``sslkit eval`` calls.

    Args:
        run_or_file: a run folder, one of its checkpoints, or with ``backbone`` a file of weights.
        evaluator: an id of the run's recipe, or the name of an evaluator such as ``knn``; by default all of the recipe.
        overrides: of ``data``, ``eval_data``, ``preprocess``, ``evaluate`` and ``train``, as in
            ``{"evaluate.knn.k": [10, 20], "data": {"name": "image_folder", "root": "photos"}}``.
        which: the net; by default the teacher, or the student where there is no teacher that learns.
        backbone: what a file's weights are of, as in a recipe: ``{"name": "vit", "arch": "small"}``.
        out: where pictures and ``results.json`` go; by default ``evaluations/`` in the run.
        plugins: single-file plugins that are needed.

    Raises:
        UserError: if there is no such run, file, net or evaluator.
    """
    trained, given = _named(run_or_file, which, backbone, overrides, plugins)
    trained.check(given, EVALUATE)
    found = with_evaluator(evaluator, trained.registry, given, trained.load)
    return evaluate_backbone(found, evaluator, home_path(out) if out else trained.evaluations(found))


def embed(
    run_or_file: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    which: Net | None = None,
    backbone: Part | None = None,
    out: str | Path | None = None,
    plugins: Plugins = (),
) -> Embedding:
    """The features that a trained backbone gives for images; what ``sslkit embed`` calls.

    Args:
        run_or_file: a run folder, one of its checkpoints, or with ``backbone`` a file of weights.
        overrides: of ``data``, ``eval_data``, ``preprocess`` and ``train``, as in
            ``{"data": {"name": "image_folder", "root": "photos"}}``; by default the run's own images.
        which: see :func:`sslkit.evaluate`.
        backbone: see :func:`sslkit.evaluate`.
        out: a file that they are also written to, ``.npz`` or ``.parquet``; by default none.
        plugins: single-file plugins that are needed.

    Raises:
        UserError: if there is no such run, file or net, no image can be read, or ``out`` cannot be written.
    """
    file = home_path(out) if out else None
    if file is not None:
        check_out(file, embedding.ENDINGS)
    trained, given = _named(run_or_file, which, backbone, overrides, plugins)
    trained.check(given, EMBED)
    return embedding.embed(trained.load(given), file)


def export(
    run_or_file: str | Path,
    to: exporting.Format,
    out: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    which: Net | None = None,
    backbone: Part | None = None,
    plugins: Plugins = (),
) -> Exported:
    """Write a trained backbone for other programs; what ``sslkit export`` calls.

    Args:
        run_or_file: a run folder, one of its checkpoints, or with ``backbone`` a file of weights.
        to: ``timm``, ``torch``, ``safetensors`` or ``onnx``.
        out: the file; it must not exist.
        overrides: of ``preprocess``, for a file of weights.
        which: see :func:`sslkit.evaluate`.
        backbone: see :func:`sslkit.evaluate`.
        plugins: single-file plugins that are needed.

    Raises:
        UserError: if there is no such run, file, net or format, or ``out`` cannot be written.
        RunError: if what was written does not give the backbone back.
    """
    file = home_path(out)
    exporting.check_out(file, to)
    trained, given = _named(run_or_file, which, backbone, overrides, plugins)
    trained.check(given, EXPORT)
    return exporting.export(trained.load(given), to, file)


def _named(
    run_or_file: str | Path,
    which: Net | None,
    backbone: Part | None,
    overrides: Mapping[str, Any] | None,
    plugins: Plugins,
) -> tuple[Trained, list[Override]]:
    """What the arguments name, and all overrides."""
    given = overrides_from({**({"backbone": backbone} if backbone is not None else {}), **(overrides or {})})
    return Trained(home_path(run_or_file), backbone is not None, which, load_registry(plugins)), given
