"""Every hook of sslkit: when it fires and what may be changed. Readable in a minute.

Mark an implementation with ``@sslkit.hookimpl``. A hook may take any subset of the arguments, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslkit.parts.outputs import Outputs
    from sslkit.parts.position import Position
    from sslkit.parts.watcher import Row, RunInfo
    from sslkit.plugins.registry import Registrar

hookspec = pluggy.HookspecMarker("sslkit")


class PluginHooks:
    """Hooks of a plugin module: what an entry point of the group ``sslkit`` names."""

    @hookspec
    def sslkit_register(self, registry: Registrar) -> None:
        """Fires once, when plugins are listed or a recipe is read. Name parts; import nothing heavy."""


class ActingHooks:
    """Hooks of a part of the student (a head, a predictor, a backbone, a loss). An exception stops the run."""

    @hookspec
    def before_step(self, at: Position, student: nn.Module) -> None:
        """Fires after clipping and before the finite check. May drop or scale gradients of the student."""

    @hookspec
    def after_step(self, at: Position, student: nn.Module) -> None:
        """Fires after optimizer, teacher and losses have moved. The last thing that may change a tensor."""


class WatchingHooks:
    """Hooks of a watcher. Nothing may be changed; an exception switches the watcher off with a warning."""

    @hookspec
    def fit_start(self, run: RunInfo) -> None:
        """Fires once a process, before the first step. Logs are to be cut back to ``run.start_step``."""

    @hookspec
    def step_end(self, at: Position, metrics: Mapping[str, Tensor], student: Outputs, teacher: Outputs | None) -> None:
        """Fires after every step, with detached tensors still on the device: reading one costs a host sync."""

    @hookspec
    def rows_logged(self, rows: Sequence[Row]) -> None:
        """Fires every ``train.log_every`` steps and after evaluations, with plain numbers: what loggers want."""

    @hookspec
    def epoch_end(self, at: Position) -> None:
        """Fires after the last step of an epoch, before its evaluation."""

    @hookspec
    def evaluation_progress(self, label: str, done: int, total: int) -> None:
        """Fires while an evaluator (``net/id``) runs: when it begins (both 0), and as it works through images."""

    @hookspec
    def evaluation_end(self, step: int, values: Mapping[str, float]) -> None:
        """Fires after the evaluators ran; ``step`` is 0 before training. Values by ``net/evaluator/metric``."""

    @hookspec
    def fit_end(self, summary: Mapping[str, Any]) -> None:
        """Fires once, after the last evaluation of a run that came to its end."""

    @hookspec
    def run_failed(self, error: BaseException) -> None:
        """Fires once, if the run ends in an error or an interruption."""
