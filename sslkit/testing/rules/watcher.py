"""Rules for watchers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from sslkit.parts.outputs import Outputs
from sslkit.parts.position import Position
from sslkit.parts.watcher import Row, RunInfo
from sslkit.testing.case import FEATURES, VIEWS, WIDTH, Case, draw, require, untouched_generators

_TOTAL = 4


def _call(part: object, hook: str, **arguments: Any) -> None:
    """As pluggy would: with the arguments that the hook takes."""
    import inspect

    method = getattr(part, hook, None)
    if method is not None and getattr(method, "sslkit_impl", None):
        method(**{name: arguments[name] for name in inspect.signature(method).parameters})


def _outputs() -> Outputs:
    rows = {view.id: draw(4, FEATURES, seed=n) for n, view in enumerate(VIEWS)}
    return Outputs(rows, {view.id: draw(4, WIDTH, seed=n) for n, view in enumerate(VIEWS)})


def _run(part: object, folder: Path, start: int, end: int, outputs: Outputs) -> None:
    info = RunInfo(folder, {"seed": 0}, start, _TOTAL, 2, 4, "cpu", 1)
    _call(part, "fit_start", run=info)
    for step in range(start, end):
        at = Position(step, _TOTAL, 2)
        metrics = {"loss": torch.tensor(1.0 / (step + 1)), "grad_norm": torch.tensor(1.0)}
        _call(part, "step_end", at=at, metrics=metrics, student=outputs, teacher=outputs)
        rows = [Row(step + 1, (step + 1) / 2, "loss", 1.0 / (step + 1)), Row(step + 1, (step + 1) / 2, "lr", 0.1)]
        _call(part, "rows_logged", rows=rows)
        if at.ends_epoch:
            _call(part, "epoch_end", at=at)
            _call(part, "evaluation_end", step=step + 1, values={"teacher/knn/k20_top1": 50.0})


def whole_run(case: Case) -> None:
    """It follows a run from start to end, and changes nothing that it is shown."""
    with tempfile.TemporaryDirectory() as folder:
        part, outputs = case.build(), _outputs()
        with untouched_generators():
            _run(part, Path(folder), 0, _TOTAL, outputs)
            _call(part, "fit_end", summary={"loss": 0.25})
        before = _outputs()
        same = all(torch.equal(outputs.features[view], before.features[view]) for view in before.features)
        require(same, "it changes the outputs that it is shown")


def failed_run(case: Case) -> None:
    """It bears a run that fails, before the first step too."""
    with tempfile.TemporaryDirectory() as folder:
        for steps in (0, 1):
            part = case.build()
            _run(part, Path(folder), 0, steps, _outputs())
            _call(part, "run_failed", error=RuntimeError("on purpose"))


def resumes(case: Case) -> None:
    """Its state is plain data, and with it a new one goes on in the same folder."""
    with tempfile.TemporaryDirectory() as folder:
        part = case.build()
        _run(part, Path(folder), 0, 2, _outputs())
        try:
            state = json.loads(json.dumps(part.state_dict()))
        except TypeError as error:
            require(False, f"its state_dict is no plain data: {error}")
        again = case.build()
        if state:
            again.load_state_dict(state)
        _run(again, Path(folder), 2, _TOTAL, _outputs())
        _call(again, "fit_end", summary={})


RULES = (whole_run, failed_run, resumes)
