"""A trained backbone with all that is needed to judge or to use it: from a run, or from a file of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any

from sslkit.engine.architectures import fitting
from sslkit.engine.backbones import build_backbone
from sslkit.engine.checkpoint import CheckpointStore
from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset
from sslkit.parts.weights import Net, NetWeights, WeightsMisfit, dropped_names, net_weights
from sslkit.plugins.registry import Registry
from sslkit.recipe.earlier import earlier_overrides
from sslkit.recipe.load import load_judging, load_recipe
from sslkit.recipe.model import Judging, Recipe
from sslkit.recipe.overrides import Override
from sslkit.report.console import say
from sslkit.report.data_when_asked import DataWhenAsked


@dataclass(frozen=True)
class Judged:
    """A trained backbone.

    Attributes:
        backbone: with its weights, on the CPU.
        net: which net of a run it is; ``backbone`` for one of a file that holds a single one.
        by: how it is judged.
        data: what it is judged on; its files are looked for when a split is asked for.
        shown: the run or the file, as the user named it.
        of: what the numbers are of, as plain data.
    """

    backbone: Backbone
    net: str
    by: Judging
    data: Dataset
    shown: Path
    of: Mapping[str, Any]


def judged_run(path: Path, which: Net | None, overrides: Sequence[Override], registry: Registry) -> Judged:
    """The backbone of a run.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint's ``weights.safetensors``.
        which: the net; None: what the run trains for, the teacher where it has one that learns.
        overrides: of the run's recipe.
        registry: the parts there are.

    Raises:
        UserError: if there is no such run, checkpoint or net.
    """
    run, step = find_run(path)
    file = run / "recipe.yaml"
    recipe = load_recipe(file, [*earlier_overrides(file), *overrides], registry)
    net = which or trained_for(recipe)
    by = recipe.judging(net)
    weights = _weights_of(run, step, net, recipe)
    backbone = build_backbone(by.backbone, by.preprocess, by.seed)
    weights.into_backbone(backbone)
    of = {"checkpoint": step or "newest", "overrides": _plain(overrides)}
    return Judged(backbone, net, by, _data(by, overrides), run, of)


def judged_file(file: Path, which: Net | None, overrides: Sequence[Override], registry: Registry) -> Judged:
    """The backbone of a file of weights: official DINO files, timm's, torchvision's, a run's.

    Args:
        file: see :func:`sslkit.parts.net_weights`.
        which: the net of a file that has several.
        overrides: ``backbone`` with its options, and what else judging needs.
        registry: the parts there are.

    Raises:
        UserError: if the file cannot be read or does not fit: then with the architecture that would.
    """
    weights = net_weights(file, which)
    if not any(override.key.split(".")[0] == "backbone" for override in overrides):
        hint = fitting(weights, overrides, registry)
        raise UserError(f"{file}: which backbone are these weights of? Add --backbone ...{hint}")
    by = load_judging(overrides, registry)
    backbone = build_backbone(by.backbone, by.preprocess, by.seed)
    try:
        dropped = weights.into_backbone(backbone)
    except WeightsMisfit as error:
        raise UserError(f"{error}{fitting(weights, overrides, registry)}") from error
    if dropped:
        say(dropped_names(file, dropped))
    of = {"weights": str(file), "overrides": _plain(overrides)}
    return Judged(backbone, weights.net or "backbone", by, _data(by, overrides), file, of)


def trained_for(recipe: Recipe) -> Net:
    """The net that a run is for: its teacher if that learns, else its student."""
    learns = recipe.teacher is not None and recipe.teacher.target.learns  # type: ignore[attr-defined]
    return "teacher" if learns else "student"


def find_run(path: Path) -> tuple[Path, int | None]:
    """The run folder that a path names, and the step if it names a checkpoint.

    Raises:
        UserError: if the path is neither a run, nor a checkpoint of one, nor its weights.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such run; name a folder that `sslkit fit` wrote, as runs/quickstart")
    inner = path.parent if path.name == "weights.safetensors" else path
    step = int(inner.name[5:]) if inner.name.startswith("step-") and inner.name[5:].isdigit() else None
    run = inner if step is None else inner.absolute().parent.parent
    if (run / "recipe.yaml").is_file() and (run / "checkpoints").is_dir():
        return run, step
    raise UserError(
        f"{path}: this is no run (a folder with recipe.yaml and checkpoints/), none of its checkpoints/step-N, and no "
        "checkpoint's weights.safetensors"
    )


def _weights_of(run: Path, step: int | None, net: Net, recipe: Recipe) -> NetWeights:
    if net == "teacher" and recipe.teacher is None:
        raise UserError(f"{run} has no teacher: its recipe names no teacher rule; use student")
    store = CheckpointStore(run / "checkpoints")
    found = store.newest() if step is None else store.load(step)
    if found is None:
        what = "has no whole checkpoint yet" if step is None else f"has no whole checkpoint of step {step}"
        command = join(["sslkit", "fit", "--recipe", str(run / "recipe.yaml"), "--out", str(run)])
        raise UserError(f"{run} {what}; train it first: {command}")
    return net_weights(found.path / "weights.safetensors", net)


def _data(by: Judging, overrides: Sequence[Override]) -> Dataset:
    """What the user names now, else the recipe's evaluation data, else its data."""
    named_now = any(override.key.split(".")[0] == "data" for override in overrides)
    spec = by.data if named_now or by.eval_data is None else by.eval_data
    return DataWhenAsked(spec)


def _plain(overrides: Sequence[Override]) -> dict[str, Any]:
    return {override.key: override.value for override in overrides}
