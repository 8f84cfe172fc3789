"""k-NN beside the reference's, and a sweep of learning rates side by side beside one rate after the other.

    python benchmarks/evaluation.py --reference DIR      # a checkout of facebookresearch/dino

Features are made up: clusters of a thousand classes. Writes docs/benchmarks/evaluation.md and evaluation.json.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import page
import torch
from torch import Tensor

from sslkit_evaluators.knn_vote import knn_hits
from sslkit_evaluators.linear_probes import LinearProbes

WIDTH, RATES = 384, (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
Side = Callable[[], Any]


def features(train: int, test: int, classes: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit features ``[N, D]`` and labels of a train and a test split."""
    draw = torch.Generator().manual_seed(0)
    centers = torch.randn(classes, WIDTH, generator=draw)
    found: list[Tensor] = []
    for count in (train, test):
        labels = torch.randint(0, classes, (count,), generator=draw)
        rows = centers[labels] + 2.5 * torch.randn(count, WIDTH, generator=draw)
        found += [torch.nn.functional.normalize(rows).to(device), labels.to(device)]
    return found[0], found[1], found[2], found[3]


def neighbours(reference: Path | None, data: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Side]:
    """k-NN for four k: ours in one pass, the reference's in four."""
    bank, labels, queries, asked = data
    given: dict[str, Any] = {"ks": (10, 20, 100, 200), "temperature": 0.07, "chunk": 1024}
    sides: dict[str, Side] = {
        name: partial(knn_hits, bank, labels, queries, asked, **given, bf16=bf16)
        for name, bf16 in {"sslkit": False, "sslkit, bf16": True}.items()
    }
    if reference:
        sys.path.insert(0, str(reference.absolute()))
        import eval_knn  # type: ignore[import-not-found]

        sides["reference"] = lambda: {
            k: eval_knn.knn_classifier(bank, labels, queries, asked, k, 0.07) for k in given["ks"]
        }
    return sides


def probes(data: tuple[Tensor, Tensor, Tensor, Tensor], rates: tuple[float, ...]) -> list[float]:
    """Two epochs of linear probes at these rates; their accuracies."""
    bank, labels, queries, asked = data
    found = LinearProbes(
        WIDTH, int(labels.max()) + 1, lrs=rates, batch_size=1024, epochs=2, seed=0, device=bank.device
    )  # fmt: skip
    for epoch in range(2):
        found.train_epoch(bank, labels, epoch)
    return found.accuracy(queries, asked)


def autograd_probe(data: tuple[Tensor, Tensor, Tensor, Tensor], rate: float) -> None:
    """The same at one rate, as everyone writes it."""
    bank, labels = data[:2]
    layer = torch.nn.Linear(WIDTH, int(labels.max()) + 1).to(bank.device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=4 * rate, momentum=0.9)
    for _ in range(2):
        for rows in torch.randperm(len(bank), device=bank.device).split(1024):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(bank[rows]), labels[rows]).backward()
            optimizer.step()


def sweeps(data: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Side]:
    """Eight rates: in one product, and one after the other."""
    return {
        "side by side": lambda: probes(data, RATES),
        "one after the other": lambda: [probes(data, (rate,))[0] for rate in RATES],
        "autograd, one after the other": lambda: [autograd_probe(data, rate) for rate in RATES],
    }


def measure(sides: dict[str, Side], rounds: int, device: torch.device) -> dict[str, Any]:
    """Results, and seconds by round, in turn."""
    results = {name: side() for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            began = time.perf_counter()
            sides[name]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - began)
    return {"results": results, "seconds": seconds}


def section(title: str, found: dict[str, Any], base: str) -> list[str]:
    """A table of it."""
    reference = found["seconds"][base]
    rows = [
        [name, min(of), statistics.median(of), statistics.median(b / a for a, b in zip(of, reference, strict=True))]
        for name, of in found["seconds"].items()
    ]
    names = list(found["seconds"])
    each = [[f"round {i + 1}", *times] for i, times in enumerate(zip(*found["seconds"].values(), strict=True))]
    return [
        f"## {title}", "", *page.table(["", "minimum s", "median s", f"times as fast as {base}"], rows),
        *page.table(["", *names], each),
    ]  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    command = shlex.join(["python", "benchmarks/evaluation.py", *(["--reference", "DIR"] if args.reference else [])])
    machine = page.machine(device)
    known = features(50_000, 10_000, 1000, device)
    nearest = measure(neighbours(args.reference, known), args.rounds, device)
    linear = {
        classes: measure(sweeps(features(10_000, 2_000, classes, device)), args.rounds, device)
        for classes in (10, 100, 1000)
    }
    lines = page.heading("Evaluation on features", command, machine)
    lines += section(
        "k-NN: 10,000 queries among 50,000 features of width 384, k 10, 20, 100, 200",
        nearest,
        "reference" if args.reference else "sslkit",
    )
    told = {name: [f"{of[k][0]:.2f}" for k in of] for name, of in nearest["results"].items()}
    lines += [f"Accuracies: {'; '.join(f'{name} ' + ', '.join(of) for name, of in told.items())}.", ""]
    for classes, found in linear.items():
        title = f"Linear probes: 8 learning rates, 2 epochs of 10,000 features, {classes} classes"
        lines += section(title, found, "one after the other")
        one, other = (found["results"][name] for name in ("side by side", "one after the other"))
        gap = max(abs(a - b) for a, b in zip(one, other, strict=True))
        lines += [f"Accuracies of the first two rows differ by at most {gap:.3f} points.", ""]
    data = {"command": command, "machine": machine, "knn": nearest, "linear": linear}
    page.write("evaluation", lines, data, args.out)


if __name__ == "__main__":
    main()
