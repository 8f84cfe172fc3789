"""Drives a run: from a resolved recipe to a finished run folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import SIGINT

import torch

from sslkit.data.loading import AugmentedImages, check_readable
from sslkit.engine.bad_images import BadImages
from sslkit.engine.build import build_run, dataset, evaluators, length, prepared_images, training_images, watchers
from sslkit.engine.checkpoint import CheckpointStore
from sslkit.engine.continued import check_changes, check_length, report
from sslkit.engine.distributed import choose_device, first_decides, from_first, is_first, process_group
from sslkit.engine.dry_run import dry_run
from sslkit.engine.environment import environment
from sslkit.engine.faults import Faults
from sslkit.engine.files import write_json
from sslkit.engine.hooks import Watching
from sslkit.engine.loop import Loop
from sslkit.engine.precision import settled, with_precision
from sslkit.engine.processor import processor
from sslkit.engine.run import Run
from sslkit.engine.run_folder import RunFolder
from sslkit.engine.saving import Saving
from sslkit.engine.signals import StopSignals
from sslkit.engine.summary import summarise
from sslkit.errors import Stopped
from sslkit.evaluation.needs import check_evaluators
from sslkit.parts.collectives import world_size
from sslkit.parts.dataset import Dataset, Images
from sslkit.parts.watcher import RunInfo
from sslkit.plugins.registry import Registry
from sslkit.recipe.continuing import Changes, Kind, effects_of
from sslkit.recipe.earlier import as_begun
from sslkit.recipe.load import completed
from sslkit.recipe.model import Recipe
from sslkit.report.closing import show_results
from sslkit.report.console import logging_to, say
from sslkit.report.crop_size import median_short_side, too_small
from sslkit.report.curves import draw_curves
from sslkit.report.evaluation import RunEvaluation
from sslkit.report.pictures import draw_views
from sslkit.report.results import RunResult
from sslkit.report.splits import split_lines
from sslkit.report.words import words_of

log = logging.getLogger("sslkit")


def fit_recipe(recipe: Recipe, out: Path | None, fresh: bool, registry: Registry, extend: bool = False) -> RunResult:
    """Train from a resolved recipe (see :func:`sslkit.fit`)."""
    folder = RunFolder(out or Path("runs") / Path(recipe.source).stem)
    if not fresh:
        # before any rank may write there
        recipe = as_begun(recipe, folder.path / "recipe.yaml")
    device = choose_device(recipe.train.device)
    with processor(device, recipe.train.threads), process_group(device, recipe.train.rank_timeout):
        try:
            changes = None
            with first_decides():
                if is_first():
                    recipe = settled(recipe, None if fresh else folder.trained(), device)
                    complete, effects = partial(completed, registry=registry), effects_of(recipe)
                    changes = folder.open(recipe.resolved, fresh, complete, effects, extend)
            recipe, changes = with_precision(recipe, from_first(recipe.train.precision)), from_first(changes)
            with logging_to(folder.path / "log.txt" if is_first() else None):
                return _fit_in(recipe, folder, device, changes)
        except KeyboardInterrupt as error:  # while it trains, the loop knows more
            raise Stopped(
                "interrupted before or after training: nothing is lost; the same command continues", SIGINT
            ) from error
        finally:
            folder.close()


def _fit_in(recipe: Recipe, folder: RunFolder, device: torch.device, changes: Changes | None) -> RunResult:
    finished = folder.summary()
    if finished is not None and not (changes and changes.of(Kind.LENGTH)):
        say(f"{folder.path} holds this run, finished; start anew with --fresh, or elsewhere with --out")
        show_results(folder.path, finished, words_of(recipe.evaluate))
        return RunResult(folder.path, finished)
    loop, watching = _prepare(recipe, folder, device, changes)
    resumed = loop.resume()
    if changes:
        _take_over(changes, recipe, folder, loop)
    if resumed:
        say(f"continuing {folder.path} at step {loop.standing.step} of {loop.steps.total}")
    else:
        most, total = recipe.train.max_steps, loop.steps.total
        steps = f"{total} steps" if most is None or most >= total else f"{most} of {total} steps"
        say(f"training {Path(recipe.source).name} in {folder.path}: {steps} on {device}")
    for line in report(changes, loop.run, loop.steps, loop.standing.step) if changes else ():
        say(line)
    watching.call("fit_start", run=_info(recipe, folder, loop))
    try:
        standing = loop.fit()
    except BaseException as error:
        watching.call("run_failed", error=error)
        if isinstance(error, Stopped):
            log.info("%s", error)
        else:
            # the terminal gets one sentence; what a part's author needs is in log.txt
            log.info("the run ended early", exc_info=error)
        raise
    if standing.step < loop.steps.total:
        limit = f"train.max_steps is {recipe.train.max_steps}"
        say(f"stopped at step {standing.step} of {loop.steps.total}: {limit}; the same command without it goes on")
        watching.call("fit_end", summary={})
        return RunResult(folder.path, {})
    summary = summarise(standing, loop.steps, recipe.train, device) | {"bad_images": len(loop.bad)}
    watching.call("fit_end", summary=summary)
    # with the summary the run counts as finished: a signal does not come between it and the closing lines
    with StopSignals(lambda name: say(f"{name}: the run is finished; showing its results")):
        if is_first():
            folder.write_summary(summary)
            _draw("curves", lambda: draw_curves(folder, recipe))
            show_results(folder.path, summary, words_of(recipe.evaluate))
    return RunResult(folder.path, summary)


def _take_over(changes: Changes, recipe: Recipe, folder: RunFolder, loop: Loop) -> None:
    """Let a run that is continued have its new recipe, once nothing can refuse it any more."""
    step = loop.standing.step
    if changes.of(Kind.LENGTH):
        check_length(loop.steps, step, recipe.place("train.epochs"))
    with first_decides():
        if is_first():
            folder.keep(recipe.resolved)


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
        pending=loop.pending(),
        stop=loop.stop,
        evaluations=loop.evaluated_steps(),
        in_words=words_of(recipe.evaluate),
    )


def _draw(what: str, draw: Callable[[], object]) -> None:
    """A picture that cannot be made must not end a run."""
    try:
        draw()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, it is told, and training matters more
        log.warning("the picture of %s could not be drawn: %s: %s", what, type(error).__name__, error)


def _tell_data(images: Images, judged: Dataset, recipe: Recipe) -> None:
    test = judged.split("test")
    classes = f"; {len(images.classes)} classes" if images.classes is not None else "; no labels"
    say(f"{recipe.data.name}: {len(images)} images to train on, {len(test) if test else 0} to test with{classes}")
    if is_first():
        for line in split_lines({"train": images, "test": test}):
            say(f"  {line}")


def _tell_doubts(run: Run, images: int, short_side: float) -> None:
    """Warn about valid but unlikely settings."""
    run.precision.warn_if_slow()
    if (doubt := too_small(max(view.size for view in run.augmenter.views), short_side)) is not None:
        log.warning("%s", doubt)
    if run.rates.only_rises():
        log.warning(
            "the learning rate only rises until the run ends, because its warm-up is as long as the run or longer: "
            "train for more epochs, or shorten the warm-up of optimizer.lr"
        )
    outputs = run.student.head.out_dim if run.student.head else 0
    if outputs > images:
        log.warning(
            "head.out_dim: the head has %d outputs, more than the %d training images: a smaller one costs less and "
            "mostly learns as well",
            outputs, images,
        )  # fmt: skip


def _prepare(recipe: Recipe, folder: RunFolder, device: torch.device, changes: Changes | None) -> tuple[Loop, Watching]:
    """Build every part, and look over what can be known before training."""
    data = dataset(recipe.data)
    found = training_images(recipe, data)
    images = prepared_images(recipe, found)
    steps = length(recipe, len(images))
    classes = len(images.classes) if images.classes is not None else None
    run = build_run(recipe, steps, classes, device)
    dry_run(recipe, run, classes)
    with first_decides():
        if changes and is_first():
            check_changes(changes, recipe, run, found, folder.path)
    judges = evaluators(recipe)
    # a folder of a million images is listed once
    judged = dataset(recipe.eval_data) if recipe.eval_data else data
    skipped = check_evaluators(judges, recipe.evaluate, run.student.backbone, recipe.preprocess, judged)
    with first_decides():
        watching = Watching(watchers(recipe) if is_first() else {})
    bad = BadImages(folder.path / "bad_images.csv", max(1, int(recipe.train.max_bad_fraction * len(images))))
    bad.take_up(images, recipe.preprocess)
    judges = {key: judge for key, judge in judges.items() if key not in skipped}
    for key, reason in skipped.items():
        say(f"evaluate.{key} is skipped: {reason}")
    evaluation = RunEvaluation(
        recipe, judges, judged, folder, run.precision, steps, bad,
        lambda label, done, total: watching.call("evaluation_progress", label=label, done=done, total=total),
    )  # fmt: skip
    views = AugmentedImages(images, run.augmenter, recipe.preprocess.channels, recipe.seed, recipe.preprocess.values)
    with first_decides():
        if is_first():
            check_readable(views, recipe.data.where)
            short_side = median_short_side(found, recipe.preprocess.channels, recipe.preprocess.values)
            _tell_doubts(run, len(images), min(short_side, recipe.train.short_side or short_side))
    _tell_data(images, judged, recipe)
    if is_first():
        write_json(folder.path / "environment.json", environment(device))
        _draw("views", lambda: draw_views(folder.pictures / "views.png", views))
    store = CheckpointStore(folder.checkpoints, recipe.checkpoint.keep)
    saving = Saving(run, recipe.checkpoint, store, watching)
    faults = Faults(run, recipe.train, saving, folder.path / "snapshots", classes)
    return Loop(run, images, steps, recipe.train, saving, watching, evaluation, bad, faults), watching
