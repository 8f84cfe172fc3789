"""A run folder: what it holds, whose it is, and whether it can be continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sslkit.engine.files import gone, leftovers, write_json, write_text
from sslkit.engine.folder_lock import FolderLock
from sslkit.errors import RunError, UserError
from sslkit.recipe.dump import to_yaml

#: Recipe keys that may differ when a run is continued: they change how it runs and is judged, and not what it is meant
#: to train (another device or number of threads may change last bits). That the images are the same is checked by
#: their names, wherever they lie.
FREE_KEYS = (
    "train.workers", "train.worker_timeout", "train.threads", "train.device", "train.max_steps", "train.log_every",
    "train.on_nonfinite", "train.max_nonfinite", "train.on_bad_image", "train.max_bad_fraction",
    "checkpoint", "watch", "evaluate", "eval_data", "data.root", "data.listing",
)  # fmt: skip


Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class RunFolder:
    """The folder of one run: ``recipe.yaml``, ``checkpoints/``, logs, pictures and ``summary.json``.

    Args:
        path: the folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.pictures = path / "pictures"
        self.summary_file = path / "summary.json"
        self._lock: FolderLock | None = None

    def open(self, resolved: Mapping[str, Any], fresh: bool, complete: Complete = lambda there: there) -> None:
        """Take the folder for a run of this recipe; what was there before is continued.

        Args:
            resolved: the resolved recipe.
            fresh: start anew: what was there is moved aside, never deleted.
            complete: adds the options that have come since to the recipe that is there
                (:func:`sslkit.recipe.load.completed`).

        Raises:
            UserError: if the folder holds a run of another recipe (naming the keys that differ), something that is
                no run, or another process's run; or if it cannot be written.
        """
        try:
            self._refuse_strange()
            self._make()
            if fresh and self._holds_a_run():
                # under its own lock, so that no folder is pulled away from a process that trains in it
                move_aside(self.path)
                self.close()
                self._make()
            self._check_recipe(resolved, complete)
            write_text(self.path / "recipe.yaml", to_yaml(resolved))
        except OSError as error:
            raise UserError(
                f"--out {self.path}: cannot be written: {error.strerror or error}; name another folder with --out"
            ) from error

    def _make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(
            self.path,
            f"--out {self.path}: {{who}} is training there; wait for it, or name another folder with --out",
        )
        for left in leftovers(self.path / "recipe.yaml"):
            left.unlink()

    def _holds_a_run(self) -> bool:
        return (self.path / "recipe.yaml").is_file()

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run; None if the run is not finished."""
        if not self.summary_file.is_file():
            return None
        try:
            found = json.loads(self.summary_file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict) or "steps" not in found:
            raise UserError(f"{self.summary_file} is no summary; delete it, and the same command writes it anew")
        return found

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as finished.

        Raises:
            RunError: if the folder has been removed.
        """
        try:
            write_json(self.summary_file, summary)
        except FileNotFoundError as error:
            raise RunError(f"{self.summary_file} was not written: {gone(self.path)}") from error

    def _refuse_strange(self) -> None:
        """Leave a folder alone, and without a lock, that holds something and is no run."""
        if not self.path.is_dir() or self._holds_a_run():
            return
        # what a run that was refused or killed before its first step leaves
        ours = {".lock", "log.txt", *(left.name for left in leftovers(self.path / "recipe.yaml"))}
        strange = sorted(entry.name for entry in self.path.iterdir() if entry.name not in ours)
        if strange:
            raise UserError(
                f"--out {self.path}: the folder holds {strange[0]!r} and is no run; name an empty or a new one"
            )

    def _check_recipe(self, resolved: Mapping[str, Any], complete: Complete) -> None:
        file = self.path / "recipe.yaml"
        # where nothing was trained (a first try with a mistake in it), nothing is lost
        trained = self.summary_file.is_file() or (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))
        if not self._holds_a_run() or not trained:
            return
        try:
            there = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise UserError(f"{file} cannot be read as a recipe ({why}); restore it, or use --fresh") from error
        if not isinstance(there, Mapping):
            raise UserError(f"{file} is no recipe; restore it, or use --fresh")
        differing = different_keys(complete(there), resolved)
        if differing:
            shown = "; ".join(f"{key}: {old} there, {new} now" for key, (old, new) in list(differing.items())[:6])
            more = f" and {len(differing) - 6} more" if len(differing) > 6 else ""
            raise UserError(
                f"{self.path} holds a run of another recipe ({shown}{more}); name another folder with --out, or start "
                "anew with --fresh (the old run is moved aside)"
            )


def move_aside(path: Path) -> Path:
    """Give a run folder a free name beside it, which is returned; nothing is deleted."""
    path, number = path.absolute(), 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return path.rename(aside)


def different_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which two resolved recipes differ, those that a continued run may change left out."""
    before, now = flat_recipe(old), flat_recipe(new)
    return {
        key: (before.get(key, "absent"), now.get(key, "absent"))
        for key in [*now, *(key for key in before if key not in now)]
        if before.get(key, "absent") != now.get(key, "absent") and not key.startswith(FREE_KEYS)
    }


def flat_recipe(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A resolved recipe's values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flat_recipe(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
