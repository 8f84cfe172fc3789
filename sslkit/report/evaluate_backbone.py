"""``sslkit eval``: judge a trained backbone alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from rich.table import Table

from sslkit.engine.construct import construct
from sslkit.engine.distributed import choose_device, is_first, process_group
from sslkit.engine.files import write_json
from sslkit.engine.precision import Precision
from sslkit.engine.processor import processor
from sslkit.errors import UserError, nearest
from sslkit.evaluation.intervals import share_interval
from sslkit.evaluation.needs import check_evaluators
from sslkit.evaluation.runner import EvaluationResult, run_evaluators
from sslkit.parts.evaluator import Evaluator
from sslkit.plugins.registry import Registry
from sslkit.recipe.overrides import Override
from sslkit.report.classifiers import keep_classifiers
from sslkit.report.console import evaluation_bar, logging_to, say, show
from sslkit.report.evaluation import loading, reasons_by_name
from sslkit.report.gains import RAW, Number, interval_text, versus
from sslkit.report.judged import Judged
from sslkit.report.results import Evaluation
from sslkit.report.words import InWords, words_of

#: Files of one folder that are listed one by one.
_LISTED = 10


def evaluate_backbone(found: Judged, evaluator: str | None, folder: Path) -> Evaluation:
    """Judge a trained backbone by the evaluators that it comes with.

    Writes pictures, and ``results.json`` with the numbers of all evaluations of this folder.

    Args:
        found: the backbone, and how it is judged.
        evaluator: the id of the only one that is wanted; None: all.
        folder: where results go.

    Raises:
        UserError: if the only one that is wanted cannot judge it.
    """
    by = found.by
    device = choose_device(by.train.device)
    with processor(device, None), process_group(device), logging_to(None):
        wanted = {key: spec for key, spec in by.evaluate.items() if evaluator in (None, key)}
        judges = {key: cast(Evaluator, construct(spec.part)) for key, spec in wanted.items()}
        check_evaluators(judges, wanted, found.backbone, by.preprocess, found.data)
        precision = Precision(by.train.precision, device)
        precision.warn_if_slow()
        with evaluation_bar() as progress:
            result = run_evaluators(
                {key: (judge, (found.net,)) for key, judge in judges.items()},
                {found.net: found.backbone.to(device)},
                found.data,
                device=device,
                precision=precision.dtype,
                out_dir=folder,
                progress=progress,
                **loading(by),
            )
        if evaluator is not None and not result.values and result.skipped:
            raise UserError(f"{evaluator} cannot judge {found.shown}: {next(iter(result.skipped.values()))}")
        keep_classifiers(result, folder)
        if is_first():
            _keep(folder, result, dict(found.of))
    unreadable = reasons_by_name(result.bad)
    return Evaluation(
        values=result.values,
        folder=folder,
        files=tuple(result.artifacts),
        skipped=result.skipped,
        unreadable=unreadable,
        intervals={name: share_interval(tally) for name, tally in result.tallies.items()},
        comparisons=tuple(_against_pixels(result, words_of(by.evaluate))),
    )


def with_evaluator(
    evaluator: str | None, registry: Registry, overrides: Sequence[Override], load: Callable[[list[Override]], Judged]
) -> Judged:
    """A backbone with the evaluator that is wanted: one that no recipe names runs with its defaults.

    Args:
        evaluator: an id of the recipe's ``evaluate``, or a registered evaluator; None: all of the recipe's.
        registry: the parts there are.
        overrides: what is changed.
        load: gives the backbone and how it is judged, for overrides.

    Raises:
        UserError: if there is no such evaluator, or none at all.
    """
    names = registry.names("evaluator")
    if evaluator in names:
        # first: what the recipe or an override says of it stays
        found = load([*overrides])
        if evaluator not in found.by.evaluate:
            found = load([Override(f"evaluate.{evaluator}", {}), *overrides])
    else:
        found = load([*overrides])
    if evaluator is not None and evaluator not in found.by.evaluate:
        raise UserError(f"there is no evaluator {evaluator!r}; {nearest(evaluator, {*names, *found.by.evaluate})}")
    if not found.by.evaluate:
        raise UserError(f"{found.shown}: no evaluator is named; name one: {', '.join(names)}")
    return found


def show_evaluation(result: Evaluation) -> None:
    """Print what an evaluation found."""
    for name, reason in result.skipped.items():
        say(f"{name} is skipped: {reason}")
    columns = ["measure", "value", *(["95% interval"] if result.intervals else [])]
    table = Table(*columns)
    for name, value in result.values.items():
        row = [name, f"{value:.4g}", interval_text(result.intervals.get(name))]
        table.add_row(*row[: len(columns)])
    if result.values:
        show(table)
    for line in result.comparisons:
        say(line)
    folders: dict[Path, list[Path]] = {}
    for artifact in result.files:
        folders.setdefault(artifact.parent, []).append(artifact)
    for written_to, files in folders.items():
        for shown in files if len(files) <= _LISTED else [f"{len(files)} files in {written_to}"]:
            say(f"written: {shown}")
    for name, reason in result.unreadable.items():
        say(f"left out, unreadable: {name} ({reason})")


def _against_pixels(result: EvaluationResult, in_words: InWords) -> list[str]:
    """A sentence on each top-1 that was measured on raw pixels too."""
    said = []
    for name, value in result.values.items():
        owner, _, metric = name.rpartition("/")
        raw = f"{owner}/{RAW}{metric}"
        if raw in result.values and metric.endswith("top1"):
            pixels = Number(result.values[raw], result.tallies.get(raw))
            said.append(versus(in_words(name), Number(value, result.tallies.get(name)), "raw pixels", pixels))
    return said


def _keep(folder: Path, result: EvaluationResult, of: dict[str, Any]) -> None:
    """Add the numbers to ``results.json``: by net and evaluator, with what they are of."""
    file = folder / "results.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise UserError(f"{file} is no JSON ({error}); delete it, and the same command writes a new one") from error
    for name, value in result.values.items():
        owner, _, metric = name.rpartition("/")
        if kept.get(owner, {}).get("of") != of:
            kept[owner] = {"of": of, "values": {}}
        kept[owner]["values"][metric] = value
    write_json(file, kept)
