"""Long runs and many runs leak nothing: file descriptors, threads, memory."""

from __future__ import annotations

import gc
import json
import os
import threading
from pathlib import Path

from faults.suite import Suite
from forked import fork, wait
from tiny_run import TINY_VIT

PLUGIN = '''
"""Counts what the process holds."""
import gc, json, os, threading
import sslkit
from sslkit.parts import Watcher

class Counting(Watcher):
    """A line every 250 steps."""
    def __init__(self, file: str = "") -> None:
        self.file = file
    @sslkit.hookimpl
    def step_end(self, at):
        if at.step % 250 == 249:
            gc.collect()
            resident = int(open("/proc/self/statm").read().split()[1]) * 4096
            row = [len(os.listdir("/proc/self/fd")), threading.active_count(), resident]
            with open(self.file, "a") as lines:
                lines.write(json.dumps(row) + "\\\\n")

@sslkit.hookimpl
def sslkit_register(registry):
    registry.watcher("counting", Counting)
'''.replace("\\\\n", "\\n")

#: Bytes that memory may grow by from a fifth of the way to its end: allocators settle, a leak does not.
_GROWTH = 24 * 2**20


def case(number: int, folder: Path) -> None:
    """Even: one run of 5,000 steps; odd: 150 runs in one process."""
    folder.mkdir(parents=True)
    rows, log = folder / "rows.jsonl", folder / "log.txt"
    work = _long_run if number % 2 == 0 else _many_runs
    code = wait(fork(lambda: work(folder, rows), log), 1200)
    assert code == 0, log.read_text()[-2000:]
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    settled = found[len(found) // 5 :]
    files, threads, memory = zip(*settled, strict=True)
    assert max(files) <= files[0] + 1, files
    assert max(threads) <= threads[0], threads
    assert memory[-1] - memory[0] < _GROWTH, [size // 2**20 for size in memory]


def _recipe(steps: int) -> dict[str, object]:
    train = {"batch_size": 8, "lr_per_images": None, "workers": 0, "epochs": 100, "max_steps": steps, "log_every": 50}
    return TINY_VIT | {"train": train, "checkpoint": {"every_epochs": None, "every_steps": 500}, "evaluate": {}}


def _long_run(folder: Path, rows: Path) -> None:
    import sslkit

    plugin = folder / "counting.py"
    plugin.write_text(PLUGIN)
    watch = {"counting": {"file": str(rows)}, "progress": None}
    sslkit.fit(_recipe(5000) | {"watch": watch}, out=folder / "run", plugins=plugin)


def _many_runs(folder: Path, rows: Path) -> None:
    import sslkit

    for turn in range(150):
        sslkit.fit(_recipe(3) | {"watch": {"progress": None}}, out=folder / f"run{turn}")
        if turn % 10 == 9:
            gc.collect()
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
            with rows.open("a") as lines:
                lines.write(json.dumps([len(os.listdir("/proc/self/fd")), threading.active_count(), resident]) + "\n")


SUITE = Suite("soak", "5,000 steps, and 150 runs in one process: no more files, threads, memory at the end", 4, 0, case)
