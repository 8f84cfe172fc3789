"""Runs suites case by case, keeps what each found, and sums up."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from faults.suite import Suite

#: Modules beside this one.
_NAMES = "saves damage nonfinite images hostile recipes plugins kills signals rank_signals disk ranks soak"
SUITES: dict[str, Suite] = {name: import_module(f"faults.{name}").SUITE for name in _NAMES.split()}


def run(suites: Sequence[Suite], journal: Path) -> None:
    """Do every case that the journal does not have yet; it gets a line a case."""
    done = {(row["suite"], row["case"]) for row in read(journal)}
    for suite in suites:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(suite.count):
                if (suite.name, number) not in done:
                    row = {"suite": suite.name, "case": number, **_one(suite, number, Path(folder))}
                    with journal.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(row) + "\n")


def _one(suite: Suite, number: int, folder: Path) -> dict[str, Any]:
    began, own = time.monotonic(), folder / str(number)
    try:
        suite.case(number, own)
        wrong = ""
    except Exception:  # noqa: BLE001 - whatever it is, the case has failed, and the others go on
        wrong = traceback.format_exc()
    shutil.rmtree(own, ignore_errors=True)
    return {"seconds": round(time.monotonic() - began, 3), "wrong": wrong}


def read(journal: Path) -> list[dict[str, Any]]:
    """The lines of a journal; one that a kill has cut is left out."""
    rows = []
    for line in journal.read_text("utf-8").splitlines() if journal.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def summary(suites: Sequence[Suite], journal: Path) -> list[dict[str, Any]]:
    """A row a suite: target, cases done, those that missed it, seconds."""
    rows = read(journal)
    found = []
    for suite in suites:
        own = [row for row in rows if row["suite"] == suite.name]
        wrong = [row for row in own if row["wrong"]]
        found.append({
            "suite": suite.name, "target": suite.target, "of": suite.count, "done": len(own), "missed": len(wrong),
            "seconds": round(sum(row["seconds"] for row in own), 1),
            "examples": [{"case": row["case"], "wrong": row["wrong"][-600:]} for row in wrong[:3]],
        })  # fmt: skip
    return found
