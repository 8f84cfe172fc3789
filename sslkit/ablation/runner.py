"""Runs what is not finished yet, each run as a process of its own, so many side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member
from sslkit.engine.folder_lock import FolderLock
from sslkit.engine.run_folder import different_keys
from sslkit.errors import Stopped, UserError

_SIGINT, _SIGTERM = 2, 15
#: Seconds that a run of a killed runner has to save.
_PATIENCE = 120.0


@dataclass
class Runner:
    """How runs are started.

    Attributes:
        layout: the ablation's folder.
        jobs: processes side by side; each gets its share of the cores.
        flags: words for every process, such as ``--plugin FILE``.
        limit: minutes after which a run counts as hung; None: never.
        retry: whether runs that failed are tried again.
        tell: is handed a line whenever a run begins or ends.
    """

    layout: Layout
    jobs: int = 1
    flags: Sequence[str] = ()
    limit: float | None = None
    retry: bool = False
    tell: Callable[[str], None] = print
    _stopping: threading.Event = field(default_factory=threading.Event)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, members: Sequence[Member], ended: Callable[[], object]) -> None:
        """Run every member that is not finished; all that can fail leaves its reason, and the others go on.

        Args:
            members: all of them.
            ended: is called after each run that ended.

        Raises:
            UserError: if a folder holds a run of another recipe.
            Stopped: after an interruption; runs have saved by then.
        """
        recipes = {member.folder: member.resolved for member in members}
        for name, resolved in recipes.items():
            _refuse_other(self.layout.run(name), resolved)
        todo = [name for name in recipes if self._open(name)]
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [
                pool.submit(self._run, name, recipes[name], f"{n}/{len(todo)}") for n, name in enumerate(todo, 1)
            ]
            try:
                self._wait(futures, ended)
            except KeyboardInterrupt:
                self._stop()
                raise Stopped("stopped; the same command goes on where it was", _SIGINT) from None

    def _open(self, name: str) -> bool:
        status, _ = self.layout.status(name)
        if status == "failed" and self.retry:
            self.layout.forgive(name)
            return True
        return status == "open"

    def _wait(self, futures: Sequence[Future[None]], ended: Callable[[], object]) -> None:
        left = set(futures)
        while left:
            done, left = wait(left, timeout=1.0, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
                ended()

    def _stop(self) -> None:
        """Ask the processes to save and stop; a second interruption ends them at once."""
        self._stopping.set()
        self.tell("stopping: runs save first; once more to stop at once")
        try:
            for child in list(self._children.values()):
                child.terminate()
            for child in list(self._children.values()):
                child.wait()
        except KeyboardInterrupt:
            for child in list(self._children.values()):
                child.kill()

    def _run(self, name: str, resolved: Mapping[str, Any], turn: str) -> None:
        if self._stopping.is_set():
            return
        words = ["fit", "--recipe", str(self.layout.recipe(name, resolved)), "--out", str(self.layout.run(name))]
        self._wait_for_other(self.layout.run(name))
        self.tell(f"[{turn}] {name}: begins")
        code = self._process(name, [sys.executable, "-m", "sslkit.cli.child", *words, *self.flags])
        if self._stopping.is_set() or code in (128 + _SIGINT, 128 + _SIGTERM):
            return
        reason = None if self.layout.summary(name) else self._reason(name, code)
        if reason is not None:
            self.layout.fail(name, reason)
        self.tell(f"[{turn}] {name}: {'finished' if reason is None else f'failed: {reason}'}")

    def _wait_for_other(self, folder: Path) -> None:
        """A run whose runner was killed a moment ago still saves."""
        deadline = time.monotonic() + _PATIENCE
        while folder.is_dir() and time.monotonic() < deadline and not self._stopping.is_set():
            try:
                FolderLock(folder, "busy").release()
            except UserError:
                time.sleep(0.5)
            else:
                return

    def _process(self, name: str, command: list[str]) -> int | None:
        """The exit code; None after the limit."""
        share = max(1, (os.cpu_count() or 1) // self.jobs)
        environment = {**os.environ, "OMP_NUM_THREADS": str(share), "NO_COLOR": "1"}
        with self.layout.log(name).open("ab") as log:
            # a session of its own: an interruption at the terminal reaches the runner alone, which passes it on once
            child = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True,
            )  # fmt: skip
            with self._lock:
                self._children[name] = child
            try:
                return child.wait(None if self.limit is None else 60 * self.limit)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                return None
            finally:
                with self._lock:
                    del self._children[name]

    def _reason(self, name: str, code: int | None) -> str:
        if code is None:
            return f"it took longer than {self.limit:g} minutes"
        if code < 0:
            return f"it was ended by signal {-code}{' (out of memory?)' if code == -9 else ''}"
        lines = self.layout.log(name).read_text("utf-8", errors="replace").splitlines()
        told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return told[-1] if told else f"it ended with exit code {code}; see {self.layout.log(name)}"


def _refuse_other(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Numbers of another recipe would be told under this cell's name."""
    try:
        there = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return
    differing = different_keys(there, resolved) if isinstance(there, Mapping) else {}
    if differing:
        key, (old, new) = next(iter(differing.items()))
        raise UserError(
            f"{folder} holds a run of another recipe ({key}: {old} there, {new} now): this is the folder of another "
            "ablation; name another one with --out"
        )
