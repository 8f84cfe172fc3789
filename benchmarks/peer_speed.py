"""A DINO step, and JPEG files to ten views, by sslkit, lightly and stable-pretraining on one core.

    python benchmarks/peer_speed.py PYTHON      # of a venv with lightly and stable-pretraining

ViT-Ti/16, 2x224 + 8x96, float32, AdamW, no clipping, each project's own head, loss, transform and teacher update, put
together as its documentation does. All are up at once and take turns. solo-learn is not among them: every release pins
torchvision 0.10, which does not go with today's torch. Writes docs/benchmarks/peer_speed.md and peer_speed.json.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import jpeg_folder
import page
import torch

PEERS = ("lightly", "stable-pretraining")
#: A round of the pipeline.
IMAGES = 16
Rounds = dict[str, list[float]]


class Side:
    """A process that makes one round after the other.

    Args:
        words: its command.
    """

    def __init__(self, words: list[str]) -> None:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def hear(self) -> str:
        """Its next line that is no talk of a library's."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("ready", "took ")):
                return line.removeprefix("took ").strip()
        raise SystemExit("a side has ended")

    def seconds(self, what: str) -> float:
        """Of one round."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        return float(self.hear())

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(args: argparse.Namespace, folder: str) -> dict[str, Rounds]:
    """Processor seconds by work, side and round."""
    jpeg_folder.write_few(Path(folder), 64)
    own = str(Path(__file__).parent / "peers" / "speed_side.py")
    pythons = {"sslkit": sys.executable, "sslkit exact": sys.executable} | dict.fromkeys(PEERS, args.python)
    more = [folder, str(args.batch), str(args.out_dim), str(IMAGES)]
    sides = {name: Side([python, "-W", "ignore", own, name, *more]) for name, python in pythons.items()}
    for side in sides.values():
        side.hear()
    found: dict[str, Rounds] = {"step": {name: [] for name in sides}, "pipeline": {name: [] for name in sides}}
    del found["step"]["sslkit exact"]
    for _ in range(args.rounds):
        for work, rounds in found.items():
            for name, took in rounds.items():
                took.append(sides[name].seconds(work))
    for side in sides.values():
        side.close()
    return found


def rows(rounds: Rounds, size: int) -> list[list[object]]:
    """Images a second of each side, and how many times its time sslkit's is."""
    base = rounds["sslkit"]
    return [
        [name, size / statistics.median(took), statistics.median(took) / statistics.median(base), min(took) / min(base)]
        for name, took in rounds.items()
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of a venv with lightly and stable-pretraining")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--out-dim", type=int, default=65536)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = page.machine(torch.device("cpu"))
    ask = "from importlib.metadata import version as v; print(*[f'{n} {v(n)}' for n in {names!r}], sep=', ')"
    ask = ask.replace("{names!r}", repr((*PEERS, "torch", "timm")))
    versions = subprocess.run([args.python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, folder)
    more = page.without_out(sys.argv[2:])
    command = shlex.join(["python", "benchmarks/peer_speed.py", "PYTHON", *more])
    head = ["", "images a processor second", "time, of sslkit's", "of minima"]
    lines = page.heading("Beside lightly and stable-pretraining", command, machine)
    lines += [
        f"The peers' environment: {versions}. One thread; {args.rounds} rounds in turns; medians.",
        "",
        f"A step of ViT-Ti/16, 2x224 + 8x96, K {args.out_dim}, batch {args.batch}, float32:",
        "",
        *page.table(head, rows(found["step"], args.batch)),
        f"JPEG files of 500 x 375 pixels to those views, {IMAGES} a round (sslkit: `pixels: fast`, the default with "
        "OpenCV):",
        "",
        *page.table(head, rows(found["pipeline"], IMAGES)),
    ]
    data = {"command": command, "machine": machine, "peers": versions, "seconds": found}
    page.write("peer_speed", lines, data, args.out)


if __name__ == "__main__":
    main()
