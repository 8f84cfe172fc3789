"""What peers do under some of the faults of tests/faults: a kill, flipped bits, a loss that is not finite, bad images.

    python benchmarks/peer_faults.py PYTHON      # of a venv with lightly-train, lightning and stable-pretraining

Small SimCLR runs on a CPU with each project's documented settings, resumed as its documentation says. Writes
docs/benchmarks/peer_faults.md and peer_faults.json.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import page
import torch
from PIL import Image

PEERS = {
    "lightly-train": "lightly_train_run.py",
    "Lightning's loop": "lightning_run.py",
    "stable-pretraining": "stable_pretraining_run.py",
}
EPOCHS, RATE = 8, "0.05"


class Peer:
    """Runs of one peer.

    Args:
        python: of its venv.
        script: its run.
        folder: where runs go.
    """

    def __init__(self, python: str, script: str, folder: Path) -> None:
        self.python, self.folder, self.data = python, folder, folder / "data/all"
        self._command = [python, "-W", "ignore", str(Path(__file__).parent / "peers" / script)]
        self.data.mkdir(parents=True)
        for number in range(64):
            pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.data / f"{number:03}.jpg")

    def start(self, out: str, *more: str, rate: str = RATE) -> subprocess.Popen[str]:
        """A run."""
        words = [*self._command, str(self.folder / out), str(self.data), str(EPOCHS), rate, *more]
        with (self.folder / f"{out}.log").open("a") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, text=True, cwd=self.folder)

    def run(self, out: str, *more: str, rate: str = RATE) -> int:
        """Its exit code."""
        return self.start(out, *more, rate=rate).wait(900)

    def newest(self, out: str) -> Path:
        """Its last checkpoint."""
        found = [file for file in (self.folder / out).rglob("*.ckpt") if not file.name.startswith("final")]
        return max(found, key=lambda file: file.stat().st_mtime_ns)

    def final(self, out: str) -> dict[str, torch.Tensor]:
        """Its trained weights."""
        places = [*(self.folder / out).rglob("final.ckpt"), *(self.folder / out).rglob("exported_last.pt")]
        loaded = torch.load(places[0], map_location="cpu", weights_only=False)
        return loaded.get("state_dict", loaded)

    def said(self, out: str) -> str:
        """The end of its log."""
        return (self.folder / f"{out}.log").read_text()[-400:]


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of weights, relative to the largest weight."""
    largest = max(float(tensor.float().abs().max()) for tensor in one.values())
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one) / largest


def kills(peer: Peer, count: int) -> dict[str, Any]:
    """Runs that are killed after their first checkpoint and resumed, beside two that are not."""
    for out in ("whole", "again"):
        assert peer.run(out) == 0, peer.said(out)
    found: dict[str, Any] = {"two whole runs differ by": apart(peer.final("whole"), peer.final("again")), "killed": []}
    for number in range(count):
        out, draw = f"killed{number}", random.Random(number)
        running = peer.start(out)
        while running.poll() is None and not list((peer.folder / out).rglob("*.ckpt")):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2))
        running.send_signal(signal.SIGKILL)
        running.wait()
        code = peer.run(out, "resume")
        found["killed"].append(apart(peer.final("whole"), peer.final(out)) if code == 0 else f"exit {code}")
    return found


#: Run by the peer's own Python: a checkpoint names its classes.
FLIPS = """
import random, sys, torch
source, place, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.load(source, map_location="cpu", weights_only=False)
content, loaded = open(source, "rb").read(), 0
for number in range(count):
    draw, changed = random.Random(number), bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    open(place, "wb").write(bytes(changed))
    try:
        torch.load(place, map_location="cpu", weights_only=False)
        loaded += 1
    except Exception:
        pass
print(loaded)
"""


def flips(peer: Peer, count: int) -> int:
    """Checkpoints with one flipped bit that load without a word."""
    places = [str(peer.newest("whole")), str(peer.folder / "flipped")]
    words = [peer.python, "-W", "ignore", "-c", FLIPS, *places, str(count)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def not_finite(peer: Peer) -> dict[str, Any]:
    """A learning rate at which the loss breaks: the exit code, and whether the weights are finite."""
    code = peer.run("broken", rate="1e30")
    finite = (
        all(bool(torch.isfinite(tensor.float()).all()) for tensor in peer.final("broken").values())
        if code == 0
        else None
    )
    return {"exit code": code, "weights finite": finite}


def bad_images(peer: Peer) -> dict[str, Any]:
    """An empty file, a truncated one and a text with an image's name."""
    whole = (peer.data / "000.jpg").read_bytes()
    (peer.data / "900.jpg").write_bytes(b"")
    (peer.data / "901.jpg").write_bytes(whole[: len(whole) // 2])
    (peer.data / "902.jpg").write_text("<html></html>")
    code = peer.run("bad")
    names = [name for name in ("900.jpg", "901.jpg", "902.jpg") if name in (peer.folder / "bad.log").read_text()]
    return {"exit code": code, "named": names}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of a venv with the peers")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=list(PEERS), help="try these; the page keeps what it has of others"
    )
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    machine = page.machine(torch.device("cpu"))
    packages = ["lightly-train", "lightning", "stable-pretraining"]
    ask = f"import json, importlib.metadata as m; print(json.dumps([m.version(name) for name in {packages}]))"
    told = subprocess.run([args.python, "-W", "ignore", "-c", ask], capture_output=True, text=True, check=True).stdout
    versions = json.loads(told.splitlines()[-1])
    before = args.out / "peer_faults.json"
    found: dict[str, Any] = json.loads(before.read_text())["found"] if before.is_file() else {}
    for (name, script), version in zip(PEERS.items(), versions, strict=True):
        if name not in args.peers:
            continue
        folder = Path(tempfile.mkdtemp())
        peer = Peer(args.python, script, folder)
        own = {"kills": kills(peer, args.kills), "flips": flips(peer, args.flips), "broken": not_finite(peer)}
        found[f"{name} {version}"] = own | {"bad images": bad_images(peer)}
        print(json.dumps({name: found[f"{name} {version}"]}), file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    lines = page.heading("Peers under faults", "python benchmarks/peer_faults.py PYTHON", machine)
    rows = [[name, f"{of['kills']['two whole runs differ by']:.1e}",
             ", ".join(one if isinstance(one, str) else f"{one:.1e}" for one in of["kills"]["killed"]),
             f"{of['flips']} of {args.flips}", f"{of['broken']['exit code']}, {of['broken']['weights finite']}",
             f"{of['bad images']['exit code']}, {len(of['bad images']['named'])} of 3"]
            for name, of in found.items()]  # fmt: skip
    head = ["", "two whole runs differ by", "killed and resumed, from the whole run", "flipped bits that load",
            "loss breaks: exit code, weights finite", "bad images: exit code, files named"]  # fmt: skip
    lines += ["Small SimCLR runs on a CPU; differences of weights are relative to the largest weight.", "",
              *page.table(head, rows)]  # fmt: skip
    page.write("peer_faults", lines, {"machine": machine, "found": found}, args.out)


if __name__ == "__main__":
    main()
