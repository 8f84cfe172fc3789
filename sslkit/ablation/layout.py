"""The folder of an ablation: what lies where, and how far each run is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslkit.engine.files import write_json, write_text
from sslkit.errors import UserError
from sslkit.recipe.dump import to_yaml

_FOLDERS = ("runs", "recipes", "logs", "code", "failed", "jobs")
_FILES = ("results.csv", "table.md", "report.html")


class Layout:
    """``runs/``: an ordinary run folder each; ``recipes/``, ``logs/``, ``code/`` and ``failed/``: a file each, by name.

    Args:
        path: the ablation's folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the folders.

        Raises:
            UserError: if the folder holds something that is no ablation, or cannot be written.
        """
        ours = {".lock", *_FOLDERS, *_FILES}
        if self.path.is_dir() and not (self.path / "runs").is_dir():
            strange = sorted(entry.name for entry in self.path.iterdir() if entry.name not in ours)
            if strange:
                raise UserError(
                    f"--out {self.path}: the folder holds {strange[0]!r} and is no ablation; name another one"
                )
        try:
            for name in _FOLDERS:
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be written: {error.strerror or error}") from error

    def run(self, name: str) -> Path:
        """The run folder of this name."""
        return self.path / "runs" / name

    def recipe(self, name: str, resolved: Mapping[str, Any]) -> Path:
        """The file that a run's process reads its recipe from, written anew."""
        file = self.path / "recipes" / f"{name}.yaml"
        write_text(file, to_yaml(resolved))
        return file

    def log(self, name: str) -> Path:
        """What a run's process says."""
        return self.path / "logs" / f"{name}.txt"

    def made_by(self, name: str, code: Mapping[str, str]) -> None:
        """Keep which code begins a run."""
        write_json(self.path / "code" / f"{name}.json", code)

    def code(self, name: str) -> dict[str, str] | None:
        """Which code began a run; None if it has not begun."""
        return _json(self.path / "code" / f"{name}.json")

    def fail(self, name: str, reason: str) -> None:
        """Keep why a run failed."""
        write_text(self.path / "failed" / f"{name}.txt", reason + "\n")

    def forgive(self, name: str) -> None:
        """Forget that a run failed: it is to be tried again."""
        (self.path / "failed" / f"{name}.txt").unlink(missing_ok=True)

    def summary(self, name: str) -> dict[str, Any]:
        """The summary of a finished run; empty if it has none."""
        return _json(self.run(name) / "summary.json") or {}

    def environment(self, name: str) -> dict[str, Any]:
        """What a run ran on; empty if it has not begun."""
        return _json(self.run(name) / "environment.json") or {}

    def told(self, name: str) -> str:
        """What a run has warned of, such as a collapse: each warning's beginning, once."""
        try:
            lines = (self.run(name) / "log.txt").read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        warnings = [line.partition(" WARNING ")[2].partition(" (")[0] for line in lines if " WARNING " in line]
        return "; ".join(dict.fromkeys(warnings))

    def status(self, name: str) -> tuple[str, str]:
        """``finished``, ``failed`` or ``open``, and the reason of a failure."""
        if self.summary(name):
            return "finished", ""
        try:
            return "failed", (self.path / "failed" / f"{name}.txt").read_text("utf-8").strip()
        except OSError:
            return "open", ""


def _json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
