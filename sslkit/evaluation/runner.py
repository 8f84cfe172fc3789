"""Runs evaluators over nets: in the middle of a training run that must not notice, or alone."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sslkit.data.reading import BadImage
from sslkit.errors import RunError, UserError, blame
from sslkit.evaluation.frozen import FrozenBackbone
from sslkit.evaluation.intervals import Tally
from sslkit.evaluation.needs import missing
from sslkit.parts.answers import Answers
from sslkit.parts.backbone import Backbone
from sslkit.parts.collectives import gather_items, rank
from sslkit.parts.dataset import Dataset, Images, Split
from sslkit.parts.evaluator import Evaluator, Metrics
from sslkit.parts.preprocess import Preprocess
from sslkit.parts.randomness import keyed_randomness

#: Evaluators by id, each with the nets that it judges.
Specs = Mapping[str, tuple[Evaluator, tuple[str, ...]]]
#: Label of an evaluator, images done, of how many.
Progress = Callable[[str, int, int], None]
_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass
class EvaluationResult:
    """What the evaluators found; the same on every rank, but for the artifacts.

    Attributes:
        values: numbers by ``net/id/metric``, such as ``teacher/knn/k20_top1``; all finite.
        artifacts: files that were written, on the first rank.
        skipped: why an evaluator did not run, by ``net/id``; and metrics that were not finite, by ``net/id/metric``.
        bad: images that could not be read, each once.
        tallies: how often each test image was classified correctly, by the names of those values that are accuracies
            and whose evaluators give their answers.
    """

    values: dict[str, float] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    bad: list[BadImage] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)


class _SplitsOnce(Dataset):
    """The same data, whose splits are made once, when they are asked for: known features are recognised by their
    split, and evaluators that bring their own data need no other."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._splits: dict[Split, Images | None] = {}

    def split(self, which: Split) -> Images | None:
        if which not in self._splits:
            self._splits[which] = self._data.split(which)
        return self._splits[which]


def run_evaluators(
    specs: Specs,
    nets: Mapping[str, Backbone],
    data: Dataset,
    *,
    preprocess: Preprocess,
    device: torch.device,
    seed: int,
    batch_size: int,
    workers: int,
    precision: torch.dtype | None,
    out_dir: Path,
    worker_timeout: float = 300.0,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Judge nets by every evaluator that wants them; on all ranks together, with the same arguments.

    Nets come back with their modes and ``requires_grad`` as they were, and no global random generator is moved.

    Args:
        specs: evaluators by id, and the nets they want; ``teacher`` means the student where there is no teacher.
        nets: backbones by name, on ``device``, not wrapped.
        data: the evaluation data.
        progress: gets the label of the evaluator that runs, and how many of how many images it has worked through on
            this rank; 0 of 0 when it begins.
        out_dir: artifacts go to ``out_dir/NET/ID/``; nothing is made there without artifacts.
        preprocess, device, seed, batch_size, workers, precision, worker_timeout: see :class:`FrozenBackbone`.

    Raises:
        UserError: what an evaluator says of its options, with its id in front.
        RunError: what it says of its run, such as features that are not finite; with net and id in front.
    """
    borrow = partial(
        FrozenBackbone,
        preprocess=preprocess,
        device=device,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        worker_timeout=worker_timeout,
    )
    return _judge(specs, nets, _SplitsOnce(data), borrow, out_dir, progress or _silent)


def _judge(
    specs: Specs,
    nets: Mapping[str, Backbone],
    data: Dataset,
    borrow: Callable[[Backbone], FrozenBackbone],
    out: Path,
    progress: Progress,
) -> EvaluationResult:
    result = EvaluationResult()
    for net, wanting in _by_net(specs, nets, result).items():
        with borrow(nets[net]) as frozen:
            for key, evaluator in wanting.items():
                frozen.progress = partial(progress, f"{net}/{key}")
                frozen.progress(0, 0)
                _evaluate(f"{net}/{key}", evaluator, frozen, data, out / net / key, result)
        # images that an evaluator read one by one, on one rank alone, are among them
        result.bad = list(dict.fromkeys([*result.bad, *gather_items(frozen.bad)]))
    return result


def _silent(_label: str, _done: int, _total: int) -> None:
    pass


def _by_net(specs: Specs, nets: Mapping[str, Backbone], result: EvaluationResult) -> dict[str, dict[str, Evaluator]]:
    """The evaluators that each net is judged by: net by net, so that its features are computed once."""
    wanting: dict[str, dict[str, Evaluator]] = {net: {} for net in nets}
    for key, (evaluator, which) in specs.items():
        for wanted in which:
            net = "student" if wanted == "teacher" and "teacher" not in nets else wanted
            if net in nets:
                wanting[net][key] = evaluator
            else:
                there = ", ".join(nets) or "none"
                result.skipped[f"{wanted}/{key}"] = f"there is no {wanted} (there is: {there}): change its 'which'"
    return wanting


def _evaluate(
    label: str, evaluator: Evaluator, frozen: FrozenBackbone, data: Dataset, folder: Path, result: EvaluationResult
) -> None:
    reason = missing(evaluator, frozen.backbone, data)
    if reason:
        result.skipped[label] = reason
        return
    with keyed_randomness(frozen.device, "evaluate", frozen.seed), _artifact_folder(folder) as out:
        try:
            with blame(type(evaluator).__name__, "to evaluate"):
                metrics = evaluator.evaluate(frozen, data, out)
        except UserError as error:
            raise UserError(f"evaluate.{folder.name}: {error}") from error
        except RunError as error:
            raise RunError(f"{label}: {error}") from error
        _take(label, metrics, out, result)


def _take(label: str, metrics: Metrics, out: Path, result: EvaluationResult) -> None:
    """Check what an evaluator gave, and add it to the result."""
    if not isinstance(metrics, Metrics):
        raise RunError(f"{label}: evaluate gives a {type(metrics).__name__} and not sslkit.parts.Metrics")
    for name, value in metrics.values.items():
        if not _METRIC.fullmatch(name):
            raise RunError(f"{label}: {name!r} is no name for a metric: use letters, digits, '_', '.' and '-'")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RunError(f"{label}: the metric {name} is a {type(value).__name__}, not a number")
        if math.isfinite(value):
            result.values[f"{label}/{name}"] = float(value)
        else:
            result.skipped[f"{label}/{name}"] = f"the metric is {value}"
    for name, answers in metrics.answers.items():
        if name not in metrics.values:
            raise RunError(f"{label}: there are answers of {name!r}, which is no metric that it gives")
        _check_answers(f"{label}: answers of {name}", answers)
        if f"{label}/{name}" in result.values:
            result.tallies[f"{label}/{name}"] = Tally.of(answers)
    for path in metrics.artifacts:
        if not path.resolve().is_relative_to(out.resolve()) or not path.is_file():
            raise RunError(f"{label}: the artifact {path} is no file below the folder {out} that it was given")
    if rank() == 0:
        result.artifacts.extend(metrics.artifacts)


def _check_answers(label: str, answers: Answers) -> None:
    if not isinstance(answers, Answers):
        raise RunError(f"{label}: expected sslkit.parts.Answers, got {type(answers).__name__}")
    images, right = answers.images, answers.right
    if not isinstance(images, Tensor) or images.dtype != torch.int64 or images.ndim != 1 or not len(images):
        raise RunError(f"{label}: images: expected an int64 tensor [M] of one or more image indices")
    if not isinstance(right, Tensor) or right.dtype != torch.bool or right.shape != images.shape:
        raise RunError(f"{label}: right: expected a bool tensor [{len(images)}], as many as images")
    if int(images.min()) < 0:
        raise RunError(f"{label}: images: an index is negative")


@contextmanager
def _artifact_folder(folder: Path) -> Iterator[Path]:
    """An evaluator's folder; on ranks other than the first one that is thrown away."""
    if rank() != 0:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        for parent in made:
            # the run folder may be gone by now: whoever writes to it next says so
            with suppress(FileNotFoundError):
                if not any(parent.iterdir()):
                    parent.rmdir()
