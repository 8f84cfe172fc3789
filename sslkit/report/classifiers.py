"""The classifiers that evaluators trained: where they are kept, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from sslkit.engine.distributed import is_first
from sslkit.engine.files import replacing
from sslkit.errors import RunError, UserError, nearest
from sslkit.evaluation.runner import EvaluationResult
from sslkit.evaluation.saved_classifier import FILE, write_classifier
from sslkit.parts.evaluator import Evaluator
from sslkit.parts.paths import home_path
from sslkit.plugins.registry import Registry


def keep_classifiers(result: EvaluationResult, folder: Path) -> None:
    """Write each classifier to ``folder/NET/ID/classifier.safetensors`` and list it among the artifacts.

    Raises:
        RunError: if a file cannot be written.
    """
    if not is_first():
        return
    for label, saved in result.classifiers.items():
        file = folder / label / FILE
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as beside:
                write_classifier(saved, beside)
        except OSError as error:
            raise RunError(f"{label}: {file} cannot be written: {error.strerror or error}") from error
        result.artifacts.append(file)


def kept_classifiers(homes: Sequence[Path]) -> dict[str, Path]:
    """The files of classifiers by ``NET/ID``; of two of one name, the newer one."""
    files = [file for home in homes for file in home.glob(f"*/*/{FILE}")]
    by_age = sorted(files, key=lambda file: file.stat().st_mtime)
    return {f"{file.parent.parent.name}/{file.parent.name}": file for file in by_age}


def chosen_classifier(
    shown: str, homes: Sequence[Path], name: str | None, which: str | None, registry: Registry
) -> tuple[str, Path]:
    """The net that a classifier is for, and its file.

    Args:
        shown: how a command names the run or file of weights.
        homes: folders of evaluations.
        name: an evaluator's id, ``NET/ID``, or a file; None: the only one there is.
        which: the net; None: any.
        registry: the parts there are.

    Raises:
        UserError: if there is none, or several: then which there are.
    """
    if name is not None and name.endswith(".safetensors"):
        file = home_path(name)
        if not file.is_file():
            raise UserError(f"--classifier {file}: there is no such file")
        return file.absolute().parent.parent.name, file
    there = kept_classifiers(homes)
    meant = {
        label: file
        for label, file in there.items()
        if which in (None, label.split("/")[0]) and name in (None, label, label.split("/")[1])
    }
    if not meant:
        raise UserError(_none(shown, name, which, there, registry))
    if len(meant) > 1:
        raise UserError(
            f"{shown} has several classifiers: {', '.join(meant)}; name one, as in --classifier {min(meant)}"
        )
    ((label, file),) = meant.items()
    return label.split("/")[0], file


def _none(shown: str, name: str | None, which: str | None, there: dict[str, Path], registry: Registry) -> str:
    makers = [
        maker
        for maker in registry.names("evaluator")
        if cast(type[Evaluator], registry.find("evaluator", maker).load()).trains_classifier
    ]
    wanted = "classifier" if name is None else f"classifier {name!r}"
    of = f" of the {which}" if which else ""
    evaluator = name.rpartition("/")[2] if name else ""
    if evaluator and evaluator not in makers and there:
        return f"{shown} has no {wanted}{of}; {nearest(evaluator, [*there, *makers])}"
    made = evaluator if evaluator in makers else makers[-1] if makers else "EVALUATOR"
    others = ", ".join(maker for maker in makers if maker != made)
    flag = f" --which {which}" if which else ""
    return f"{shown} has no {wanted}{of} yet: `sslkit eval {shown} {made}{flag}` trains one" + (
        f" (so do {others})" if others and not evaluator else ""
    )
