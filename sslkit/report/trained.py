"""A trained backbone as a caller names it: a run, or a file of weights; shared by the command line and Python.

Free of torch until it is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sslkit.errors import UserError
from sslkit.plugins.registry import Registry
from sslkit.recipe.overrides import Override

if TYPE_CHECKING:
    from sslkit.report.judged import Judged

Net = Literal["teacher", "student"]

#: The sections that may be given when a backbone is evaluated, used, written and applied.
EVALUATE = ("data", "eval_data", "preprocess", "evaluate", "train", "backbone")
EMBED = ("data", "eval_data", "preprocess", "train", "backbone")
EXPORT = ("preprocess", "backbone")
PREDICT = ("data", "train", "preprocess", "backbone")


@dataclass(frozen=True)
class Trained:
    """A trained backbone that is not loaded yet.

    Attributes:
        path: a run folder, one of its checkpoints, or a file of weights.
        is_file: whether it is a file of weights, with ``backbone`` among the overrides.
        which: the net; None: what the run trains for.
        registry: the parts there are.
    """

    path: Path
    is_file: bool
    which: Net | None
    registry: Registry

    def load(self, overrides: Sequence[Override]) -> Judged:
        """The backbone with its weights.

        Raises:
            UserError: if there is no such run, file or net, or the weights do not fit.
        """
        from sslkit.report.judged import judged_file, judged_run

        load = judged_file if self.is_file else judged_run
        return load(self.path, self.which, overrides, self.registry)

    def check(self, overrides: Sequence[Override], sections: Collection[str]) -> None:
        """Whether these sections can be given: a run's backbone is what it is.

        Raises:
            UserError: for a section that cannot.
        """
        for override in overrides:
            section = str(override.key).split(".")[0]
            if section not in sections or (section == "backbone" and not self.is_file):
                key = f"--{override.key}" if override.from_command_line else override.key
                raise UserError(f"{key}: the section {section} of a finished run cannot be changed")

    def evaluations(self, found: Judged) -> Path:
        """Where evaluations go by default: into the run; for a file, below the working directory."""
        return Path("evaluations") / self.path.stem if self.is_file else found.shown / "evaluations"
