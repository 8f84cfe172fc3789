"""``sslkit.fit``: from a recipe to a finished run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import build_run, evaluation_data, evaluators, length, training_images, watchers
from sslkit.engine.checkpoint import CheckpointStore
from sslkit.engine.distributed import barrier, choose_device, is_first, process_group
from sslkit.engine.environment import environment
from sslkit.engine.files import write_json
from sslkit.engine.hooks import Watching
from sslkit.engine.loop import Loop, summarise
from sslkit.engine.run_folder import RunFolder
from sslkit.errors import UserError, nearest
from sslkit.evaluate.needs import check_evaluators
from sslkit.parts.collectives import world_size
from sslkit.parts.watcher import RunInfo
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.recipe.overrides import Override
from sslkit.report.closing import show_results
from sslkit.report.console import logging_to, say
from sslkit.report.evaluation import RunEvaluation
from sslkit.report.pictures import draw_curves, draw_views


@dataclass(frozen=True)
class RunResult:
    """What a call of :func:`fit` leaves.

    Attributes:
        folder: the run folder.
        summary: flat numbers as in ``summary.json``; empty if the run was cut short by ``train.max_steps``.
    """

    folder: Path
    summary: Mapping[str, Any]


def fit(
    recipe: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    fresh: bool = False,
    plugins: tuple[str | Path, ...] = (),
) -> RunResult:
    """Train from a recipe; the same call again continues an unfinished run.

    Args:
        recipe: a file, the bare name of a shipped recipe, or a recipe as plain data.
        overrides: dotted keys and values, as in ``{"head.use_bn": True}``.
        out: the run folder; by default ``runs/`` and the recipe's name.
        fresh: start anew; an older run in the folder is moved aside.
        plugins: single-file plugins to load besides the installed ones.

    Raises:
        UserError: for whatever a user can mend, in one sentence.
        RunError: if the run cannot go on.
        Stopped: if a signal stopped it.
    """
    registry = load_registry(tuple(Path(file) for file in plugins))
    chosen = [Override(key, value) for key, value in (overrides or {}).items()]
    return fit_recipe(load_recipe(recipe, chosen, registry), Path(out) if out else None, fresh)


def fit_recipe(recipe: Recipe, out: Path | None, fresh: bool) -> RunResult:
    """Train from a resolved recipe (see :func:`fit`)."""
    folder = RunFolder(out or Path("runs") / Path(recipe.source).stem)
    device = choose_device(recipe.train.device)
    with _threads(recipe.train.threads), process_group(device):
        if is_first():
            folder.open(recipe.resolved, fresh)
        barrier()
        try:
            with logging_to(folder.path / "log.txt" if is_first() else None):
                return _fit_in(recipe, folder, device)
        finally:
            folder.close()


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Torch with so many CPU threads for the length of a run; a caller's own choice comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_in(recipe: Recipe, folder: RunFolder, device: torch.device) -> RunResult:
    finished = folder.summary()
    if finished is not None:
        say(f"{folder.path} holds this run, finished; start anew with --fresh, or elsewhere with --out")
        show_results(folder.path, finished)
        return RunResult(folder.path, finished)
    loop, watching = _prepare(recipe, folder, device)
    resumed = loop.resume()
    if resumed:
        say(f"continuing {folder.path} at step {loop.standing.step} of {loop.steps.total}")
    else:
        say(f"training {Path(recipe.source).name} in {folder.path}: {loop.steps.total} steps on {device}")
    watching.call("fit_start", run=_info(recipe, folder, loop))
    try:
        standing = loop.fit()
    except BaseException as error:
        watching.call("run_failed", error=error)
        raise
    if standing.step < loop.steps.total:
        say(f"stopped at train.max_steps = {standing.step} of {loop.steps.total}; the same command without it goes on")
        watching.call("fit_end", summary={})
        return RunResult(folder.path, {})
    summary = summarise(standing, loop.steps, recipe.train, device) | {"bad_images": len(loop.bad)}
    watching.call("fit_end", summary=summary)
    if is_first():
        draw_curves(folder)
        folder.write_summary(summary)
        show_results(folder.path, summary)
    return RunResult(folder.path, summary)


def _info(recipe: Recipe, folder: RunFolder, loop: Loop) -> RunInfo:
    return RunInfo(
        folder=folder.path,
        recipe=recipe.resolved,
        start_step=loop.standing.step,
        total=loop.steps.total,
        steps_per_epoch=loop.steps.steps_per_epoch,
        batch_size=recipe.train.batch_size,
        device=str(loop.run.device),
        world_size=world_size(),
    )


def _check_best(recipe: Recipe) -> None:
    wanted = recipe.checkpoint.best_metric
    if wanted is None:
        return
    owners = {f"{net}/{key}" for key, spec in recipe.evaluate.items() for net in spec.when.which}
    if wanted.rpartition("/")[0] not in owners:
        raise UserError(
            f"checkpoint.best_metric: no evaluator of the recipe gives {wanted!r}; "
            f"{nearest(wanted, [f'{owner}/...' for owner in owners])}"
        )


def _prepare(recipe: Recipe, folder: RunFolder, device: torch.device) -> tuple[Loop, Watching]:
    """Build every part, and look over what can be known before training."""
    images = training_images(recipe)
    steps = length(recipe, len(images))
    classes = len(images.classes) if images.classes is not None else None
    run = build_run(recipe, steps, classes, device)
    judges, data = evaluators(recipe), evaluation_data(recipe)
    _check_best(recipe)
    check_evaluators(judges, run.student.backbone, data)
    watching = Watching(watchers(recipe) if is_first() else {})
    bad = BadImages(folder.path / "bad_images.csv" if is_first() else None)
    evaluation = RunEvaluation(recipe, judges, data, folder, run.precision, steps, bad)
    if is_first():
        write_json(folder.path / "environment.json", environment(device))
        draw_views(folder, images, run.augmenter, recipe)
    store = CheckpointStore(folder.checkpoints, recipe.checkpoint.keep)
    loop = Loop(run, images, steps, recipe.train, recipe.checkpoint, store, watching, evaluation, bad)
    return loop, watching
