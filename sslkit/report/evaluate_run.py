"""``sslkit eval``: judge a run's backbone alone, after training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from sslkit.engine.build import build_backbone, construct
from sslkit.engine.distributed import choose_device, is_first, process_group
from sslkit.engine.files import write_json
from sslkit.engine.precision import Precision
from sslkit.errors import UserError, nearest
from sslkit.evaluate.needs import check_evaluators
from sslkit.evaluate.runner import EvaluationResult, run_evaluators
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.recipe.overrides import Override
from sslkit.report.console import say, show
from sslkit.report.evaluation import loading
from sslkit.report.load import Which, find_run, judged_data, restore_backbone


def evaluate_run(
    run: Path, evaluator: str | None, which: Which | None, overrides: Sequence[Override], plugins: tuple[Path, ...] = ()
) -> EvaluationResult:
    """Judge a run's backbone with its recipe's evaluators, or with one of them or any registered one.

    Writes ``evaluations/`` in the run folder: pictures, and ``results.json`` with the numbers of all evaluations.

    Args:
        run: a run folder or one of its checkpoints.
        evaluator: an id of the recipe's ``evaluate``, or a registered evaluator; None: all of the recipe's.
        which: the net; None: the teacher, or the student where there is no teacher.
        overrides: of the run's recipe, such as other data or an evaluator's options.
        plugins: single-file plugins that the recipe needs.

    Raises:
        UserError: if there is no such run or evaluator.
    """
    folder, step = find_run(run)
    recipe = _with_evaluator(folder, evaluator, overrides, plugins)
    device = choose_device(recipe.train.device)
    with process_group(device):
        backbone = build_backbone(recipe)
        net = restore_backbone(backbone, folder, step, which)
        wanted = {key: spec for key, spec in recipe.evaluate.items() if evaluator in (None, key)}
        judges = {key: construct(spec.part) for key, spec in wanted.items()}
        data = judged_data(recipe, overrides)
        check_evaluators(judges, wanted, backbone, recipe.preprocess, data)
        result = run_evaluators(
            {key: (judge, replace(wanted[key].when, which=(net,))) for key, judge in judges.items()},
            {net: backbone.to(device)},
            data,
            device=device,
            precision=Precision(recipe.train.precision, device).dtype,
            out_dir=folder / "evaluations",
            **loading(recipe),
        )
        if evaluator is not None and not result.values and result.skipped:
            raise UserError(f"{evaluator} cannot judge this run: {next(iter(result.skipped.values()))}")
        if is_first():
            _tell(folder, result)
            _keep(folder, result, {"checkpoint": step or "newest", "overrides": {o.key: o.value for o in overrides}})
    return result


def _with_evaluator(
    folder: Path, evaluator: str | None, overrides: Sequence[Override], plugins: tuple[Path, ...]
) -> Recipe:
    registry = load_registry(plugins)
    recipe = load_recipe(folder / "recipe.yaml", overrides, registry)
    if evaluator is not None and evaluator not in recipe.evaluate:
        known = {*registry.names("evaluator"), *recipe.evaluate}
        if evaluator not in known:
            raise UserError(f"there is no evaluator {evaluator!r}; {nearest(evaluator, known)}")
        # an evaluator that the recipe does not name runs with its defaults
        recipe = load_recipe(folder / "recipe.yaml", [Override(f"evaluate.{evaluator}", {}), *overrides], registry)
    if not recipe.evaluate:
        names = ", ".join(registry.names("evaluator"))
        raise UserError(f"the run's recipe names no evaluators; name one: sslkit eval {folder} EVALUATOR ({names})")
    return recipe


def _tell(folder: Path, result: EvaluationResult) -> None:
    for name, reason in result.skipped.items():
        say(f"{name} is skipped: {reason}")
    table = Table("measure", "value")
    for name, value in result.values.items():
        table.add_row(name, f"{value:.4g}")
    if result.values:
        show(table)
    for artifact in result.artifacts:
        say(f"written: {artifact}")
    for image in result.bad:
        say(f"left out, unreadable: {image.name} ({image.reason})")


def _keep(folder: Path, result: EvaluationResult, of: dict[str, Any]) -> None:
    """Add the numbers to ``evaluations/results.json``: by net and evaluator, with what they are of."""
    file = folder / "evaluations" / "results.json"
    file.parent.mkdir(exist_ok=True)
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise UserError(f"{file} is no JSON ({error}); delete it, and the same command writes it anew") from error
    for name, value in result.values.items():
        owner, _, metric = name.rpartition("/")
        if kept.get(owner, {}).get("of") != of:
            kept[owner] = {"of": of, "values": {}}
        kept[owner]["values"][metric] = value
    write_json(file, kept)
