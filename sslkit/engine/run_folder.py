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
from sslkit.parts.effect import Effect
from sslkit.recipe.continuing import Changes, Kind, changes_between, listed
from sslkit.recipe.dump import to_yaml

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

    def open(
        self,
        resolved: Mapping[str, Any],
        fresh: bool,
        complete: Complete = lambda there: there,
        effects: Mapping[str, Effect] | None = None,
        extend: bool = False,
    ) -> Changes | None:
        """Take the folder for a run of this recipe; what was there before is continued.

        Args:
            resolved: the resolved recipe.
            fresh: start from scratch: what was there is moved aside, never deleted.
            complete: adds the options that have come since to the recipe that is there
                (:func:`sslkit.recipe.load.completed`).
            effects: the marks of options (:func:`sslkit.recipe.continuing.effects_of`).
            extend: whether the run may have another length than the one that is there.

        Returns:
            how the recipe differs from that of the run that is there, whose recipe stays until :meth:`keep`; None for
            a new run, whose recipe is written.

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
            there = self.trained()
            if there is None:
                write_text(self.path / "recipe.yaml", to_yaml(resolved))
                return None
        except OSError as error:
            raise self._unwritable(error) from error
        changes = changes_between(complete(there), resolved, effects)
        self._refuse_other(changes, extend)
        return changes

    def keep(self, resolved: Mapping[str, Any]) -> None:
        """Write the recipe that a run is continued with; the summary of a shorter run is kept beside it.

        Raises:
            UserError: if the folder cannot be written.
        """
        summary = self.summary()
        try:
            # first: killed in between, the folder holds an unfinished run of the old length
            if summary is not None:
                self.summary_file.rename(self.path / f"summary-{summary.get('epochs', 'fewer')}-epochs.json")
            write_text(self.path / "recipe.yaml", to_yaml(resolved))
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"--out {self.path}: cannot be written: {error.strerror or error}; name another folder with --out"
        )

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

    def trained(self) -> Mapping[str, Any] | None:
        """The recipe of the run that is there; None where nothing was trained: then nothing is lost.

        Raises:
            UserError: if it cannot be read.
        """
        file = self.path / "recipe.yaml"
        began = self.summary_file.is_file() or (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))
        if not self._holds_a_run() or not began:
            return None
        try:
            there = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise UserError(f"{file} cannot be read as a recipe ({why}); restore it, or use --fresh") from error
        if not isinstance(there, Mapping):
            raise UserError(f"{file} is no recipe; restore it, or use --fresh")
        return there

    def _refuse_other(self, changes: Changes, extend: bool) -> None:
        other = {**changes.of(Kind.OTHER), **({} if extend else changes.of(Kind.LENGTH))}
        length = changes.of(Kind.LENGTH).get("train.epochs")
        if other.keys() == changes.of(Kind.LENGTH).keys() and length and not extend:
            raise UserError(self._another_length(*length))
        if other:
            raise UserError(
                f"{self.path} holds a run of another recipe ({listed(other)}); name another folder with --out, or "
                "start from scratch with --fresh (the old run is moved aside)"
            )

    def _another_length(self, old: int, new: int) -> str:
        finished = self.summary_file.is_file()
        told = (
            f"{self.path} holds {'a finished' if finished else 'an unfinished'} run of train.epochs {old}, not {new}: "
        )
        if finished and new < old:
            return f"{told}it has trained longer already; for a shorter run name another folder with --out"
        goes_on = "" if finished else f"; --train.epochs {old} finishes it as it began"
        return (
            f"{told}schedules depend on a run's whole length, so a run of {new} differs from its first step on. "
            f"--extend goes on from where this one stands with the schedules of {new} epochs (the learning rate jumps "
            f"to where they are by then){goes_on}; --fresh or another --out trains all {new} epochs from scratch"
        )


def move_aside(path: Path) -> Path:
    """Give a run folder a free name beside it, which is returned; nothing is deleted."""
    path, number = path.absolute(), 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return path.rename(aside)
