"""How long the light commands take, beside importing torch.

    python benchmarks/startup.py

Every command runs in a process of its own, in interleaved rounds, with cached bytecode (one untimed round makes it).
Writes docs/benchmarks/startup.md and startup.json.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page
import torch

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import torch'": ["-c", "import torch"],
    "sslkit --help": ["-m", "sslkit", "--help"],
    "sslkit --version": ["-m", "sslkit", "--version"],
    "sslkit plugins list": ["-m", "sslkit", "plugins", "list"],
    "sslkit recipes list": ["-m", "sslkit", "recipes", "list"],
}
YARDSTICK = "python -c 'import torch'"


def seconds(arguments: list[str], folder: str, env: dict[str, str]) -> float:
    """Wall-clock seconds of one process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of every command in every round."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    taken: dict[str, list[float]] = {command: [] for command in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for command, arguments in COMMANDS.items():
                spent = seconds(arguments, folder, env)
                if number:
                    taken[command].append(spent)
    return taken


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    machine = page.machine(torch.device("cpu"))
    taken = measure(args.rounds)
    yardstick = taken[YARDSTICK]
    rows = [
        [
            f"`{command}`",
            min(spent),
            statistics.median(spent),
            max(spent),
            min(spent) / min(yardstick),
            statistics.median(spent) / statistics.median(yardstick),
        ]
        for command, spent in taken.items()
    ]
    command = shlex.join(["python", "benchmarks/startup.py", *page.without_out(sys.argv[1:])])
    body = [
        f"Seconds of a process, {args.rounds} interleaved rounds after an untimed one.",
        "",
        *page.table(["command", "min", "median", "max", "min / torch's", "median / torch's"], rows),
    ]
    data = {"command": command, "machine": machine, "seconds": taken}
    page.write("startup", page.heading("Start-up", command, machine) + body, data, args.out)


if __name__ == "__main__":
    main()
