"""``python -m tests.faults``: the whole campaign, or some suites of it; the same command again goes on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from tests.faults import __doc__ as about  # puts the helpers of the other tests on the path

from faults.campaign import SUITES, run, summary  # isort: skip


def main() -> int:
    """Run and report; 1 if a target is missed."""
    words = argparse.ArgumentParser(prog="python -m tests.faults", description=about)
    words.add_argument("--suite", nargs="+", default=["all"], choices=["all", *SUITES])
    words.add_argument(
        "--json", type=Path, default=Path("faults.json"), help="the report; beside it the journal, .jsonl"
    )
    words.add_argument("--cases", type=int, default=10_000, help="of each suite, the first so many")
    args = words.parse_args()
    torch.set_num_threads(1)
    names = SUITES if "all" in args.suite else args.suite
    suites = [replace(SUITES[name], count=min(SUITES[name].count, args.cases)) for name in names]
    journal = args.json.with_suffix(".jsonl")
    run(suites, journal)
    rows = summary(suites, journal)
    machine = {"system": platform.system(), "cores": os.cpu_count(), "python": platform.python_version()}
    args.json.write_text(
        json.dumps({"machine": machine | {"torch": torch.__version__}, "suites": rows}, indent=1) + "\n"
    )
    for row in rows:
        print(
            f"{row['suite']:10} {row['done']:5} of {row['of']:5} done, {row['missed']} missed, {row['seconds']:7.0f} s"
        )
    return 1 if any(row["missed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
