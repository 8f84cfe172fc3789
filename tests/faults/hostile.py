"""Recipes, checkpoints and names that want to run code or to write elsewhere: nothing happens."""

from __future__ import annotations

import os
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import torch

from faults.saves import save
from faults.suite import Suite
from forked import fork, sslkit_main, wait
from sslkit.engine.checkpoint import CheckpointStore

#: Audit events that a recipe or a checkpoint must not bring about.
_FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pty.spawn", "socket.connect")


def _yaml(draw: random.Random, canary: Path) -> str:
    run = f"touch {canary}"
    return draw.choice([
        f"!!python/object/apply:os.system ['{run}']",
        f"data: !!python/object/apply:subprocess.check_call [['touch', '{canary}']]",
        f"data: {{name: 'os:system', root: '{run}'}}",
        "backbone: {name: 'subprocess:run'}\ndata: {name: digits}",
        f"data: {{name: digits}}\nloss: {{name: '__import__(\"os\").system(\"{run}\")'}}",
        f"base: '| {run}'",
        f"base: /proc/self/environ\ndata: {{name: '{{{{ {run} }}}}'}}",
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9)),
        "[" * draw.randint(500, 20000),
        "data: " + "{x: " * draw.randint(500, 5000),
        f"data: {{name: synthetic}}\ntrain: {{device: 'cuda:0; {run}'}}",
        f"optimizer: {{name: adamw, lr: {{'__class__': '{run}'}}}}",
    ])  # fmt: skip


class _Canary:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


def _audited(work: Any, log: Path) -> Any:
    """Work in a process that is ended by a forbidden event."""

    def run() -> int:
        def hook(event: str, _arguments: Any) -> None:
            if event.startswith(_FORBIDDEN):
                log.with_name("event.txt").write_text(event)
                os._exit(66)

        sys.addaudithook(hook)
        return int(work() or 0)

    return run


def case(number: int, folder: Path) -> None:
    """A recipe, a checkpoint, a file of weights or a name, in a process with an audit hook."""
    draw = random.Random(number)
    canary = folder / "canary"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    kind = number % 4
    if kind < 2:
        (folder / "r.yaml").write_text(_yaml(draw, canary))
        out = str(folder / "run") if kind == 0 else f"{folder}/$(touch {canary})"
        code = wait(fork(_audited(sslkit_main("fit", "--recipe", str(folder / "r.yaml"), "--out", out), log), log))
        assert code == 2, (code, log.read_text())
        assert "Traceback" not in log.read_text()
    elif kind == 2:
        store = folder / "checkpoints"
        for step in (1, 2):
            save(store, step)
        torch.save({"optimizer": _Canary(canary)}, store / "step-00000002/optimizer.pt")
        code = wait(fork(_audited(lambda: _newest_is(store, 1), log), log))
        assert code == 0, log.read_text()
    else:
        file = folder / draw.choice(["weights.pth", "weights.pt", "weights.safetensors", "weights.npz"])
        file.write_bytes(pickle.dumps({"student": _Canary(canary)}))
        words = ("eval", "--weights", str(file), "--backbone", "small_convnet", "knn", "--data", "digits")
        code = wait(fork(_audited(sslkit_main(*words, "--out", str(folder / "out")), log), log))
        assert code == 2, (code, log.read_text())
        assert "Traceback" not in log.read_text()
    assert not canary.exists()
    assert not (folder / "event.txt").exists()


def _newest_is(store: Path, step: int) -> int:
    checkpoints = CheckpointStore(store)
    checkpoints.repair()
    found = checkpoints.newest()
    return 0 if found is not None and found.state["step"] == step else 1


SUITE = Suite(
    "hostile", "hostile recipes, checkpoints, weights and names: inert (canary file, audit hook)", 300, 24, case
)
