"""Plugins that misbehave in every hook: watchers are switched off by name, parts stop the run by name."""

from __future__ import annotations

from pathlib import Path

from faults.runs import RECIPES, Whole, words
from faults.suite import Suite
from forked import fork, sslkit_main, wait
from tiny_run import final_weights

_WATCHING = {
    "fit_start": "run",
    "step_end": "at, metrics, student, teacher",
    "rows_logged": "rows",
    "epoch_end": "at",
    "evaluation_end": "step, values",
    "fit_end": "summary",
}
_ACTING = ("before_step", "after_step")
#: What a hook does, and whether that is a failure.
_DEEDS = {
    "raise ZeroDivisionError('on purpose')": True,
    "raise SystemExit(0)": True,
    "import os; raise OSError(28, 'No space left on device')": True,
    "import threading, time; threading.Thread(target=time.sleep, args=(0.5,)).start()": False,
    "return object()": False,
    "import warnings; warnings.warn('look here')": False,
    "import random, numpy, torch; random.seed(7); numpy.random.seed(7); torch.manual_seed(7); torch.rand(99)": False,
}

PLUGIN = '''
"""Misbehaves."""
import sslkit
from sslkit.parts import Watcher
from sslkit_dino.loss import DINOLoss

class Watching(Watcher):
    """Misbehaves in a hook."""
    @sslkit.hookimpl
    def WATCHING(self, ARGUMENTS):
        DEED

class Acting(DINOLoss):
    """Misbehaves in a hook."""
    @sslkit.hookimpl
    def ACTING(self, at, student):
        DEED

@sslkit.hookimpl
def sslkit_register(registry):
    registry.watcher("bad_watcher", Watching)
    registry.loss("bad_loss", Acting)
'''


def case(number: int, folder: Path) -> None:
    """One deed in one hook."""
    deed, fails = list(_DEEDS.items())[number % len(_DEEDS)]
    turn = number // len(_DEEDS)
    acting = turn >= len(_WATCHING)
    hook = _ACTING[turn - len(_WATCHING)] if acting else list(_WATCHING)[turn]
    watching, own = ("epoch_end", hook) if acting else (hook, "before_step")
    text = PLUGIN.replace("WATCHING", watching).replace("ACTING", own)
    text = text.replace("ARGUMENTS", _WATCHING[watching]).replace("DEED", deed)
    folder.mkdir(parents=True)
    file, log = folder / "misbehaving.py", folder / "log.txt"
    file.write_text(text)
    whole = Whole(folder.parent / "whole")
    expected, _ = whole.run("dino")
    more = ["--loss.name", "bad_loss"] if acting else ["--watch.bad_watcher", "{}"]
    command = words(whole.recipe("dino"), folder / "run", "--plugin", str(file), *more)
    code = wait(fork(sslkit_main(*command), log))
    said = log.read_text()
    assert "Traceback" not in said, said
    if acting and fails:
        assert code == 1, (code, said)
        assert f"the loss 'bad_loss' (bad_loss) failed in its hook {hook} at step 0" in " ".join(said.split()), said
        return
    assert code == 0, (code, said)
    if fails:
        assert f"watcher 'bad_watcher' failed in {hook} and is switched off" in " ".join(said.split()), said
    mine, clean = final_weights(folder / "run"), final_weights(expected)
    if not acting:
        assert all((mine[name] == clean[name]).all() for name in clean), "the training differs"


assert "dino" in RECIPES
SUITE = Suite(
    "plugins", "misbehaving in every hook: watchers off and named, training the same; parts stop it, named",
    len(_DEEDS) * (len(_WATCHING) + len(_ACTING)), 4, case,
)  # fmt: skip
