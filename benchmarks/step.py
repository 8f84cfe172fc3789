"""sslkit's training step beside a plain loop of the same maths, in interleaved rounds.

    python benchmarks/step.py                               # ViT-S/16, 2x224 + 8x96, K 65536, batch 4, float32
    python benchmarks/step.py --precision bf16 --batch 64 --device cuda --steps 10
    python benchmarks/step.py --reference DIR               # beside train_one_epoch of facebookresearch/dino too

Both start from the same weights and the same uint8 views on the host, and draw the same drop paths; before anything is
timed, the losses of the first steps are compared. Writes docs/benchmarks/NAME.md and NAME.json.
"""

from __future__ import annotations

import argparse
import ast
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import page
import torch
from plain_dino import Backbone, Head, Net, PlainDino, plain_dino
from torch import Tensor

import sslkit.engine.step as engine_step
from reference_dino import ReferenceDino, normalised
from sslkit.data.batch import Batch
from sslkit.engine.build import Length, build_run
from sslkit.engine.distributed import choose_device
from sslkit.engine.processor import processor
from sslkit.engine.run import Run
from sslkit.engine.step import training_step
from sslkit.parts.position import Position
from sslkit.parts.randomness import seed_everything
from sslkit.recipe.load import load_recipe

LR, WEIGHT_DECAY, MOMENTUM, CLIP, DROP_PATH = 5e-4, 0.04, 0.996, 3.0, 0.1
LENGTH = Length(steps_per_epoch=1000, total=100_000)


def recipe(args: argparse.Namespace) -> dict[str, Any]:
    """The run as a recipe; rates are constant, so that both sides do the same."""
    return {
        "data": {"name": "synthetic", "images": args.batch, "size": args.global_size},
        "preprocess": {"size": args.global_size},
        "augment": {
            "name": "multicrop",
            "local_crops": args.locals,
            "global_size": args.global_size,
            "local_size": args.local_size,
        },
        "backbone": {
            "name": "vit",
            "arch": args.arch,
            "patch_size": args.patch,
            "drop_path_rate": DROP_PATH,
        },
        "head": {"name": "dino", "out_dim": args.out_dim, "freeze_last_layer_epochs": 0},
        "teacher": {"name": "ema", "momentum": MOMENTUM},
        "loss": {"name": "dino", "teacher_temp": 0.04, "warmup_teacher_temp": 0.04},
        "optimizer": {"name": "adamw", "lr": LR, "weight_decay": WEIGHT_DECAY},
        "clip": {"name": "per_tensor", "max_norm": CLIP},
        "train": {"batch_size": args.batch, "precision": args.precision, "lr_per_images": None},
    }


def plain_twin(run: Run, args: argparse.Namespace) -> PlainDino:
    """The plain loop, starting from the same weights."""
    student = Net(
        Backbone(args.arch, args.patch, args.global_size, DROP_PATH), Head(run.student.backbone.embed_dim, args.out_dim)
    )
    names = {"backbone.net.": "backbone.vit.", "head.last_layer.": "head."}
    weights = {}
    for name, tensor in run.student.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights[name] = tensor.clone()
    weights.pop("head.weight_g")  # fixed at 1
    student.load_state_dict(weights, strict=True)
    dtype = run.precision.dtype
    autocast = torch.autocast(run.device.type, dtype=dtype, enabled=dtype is not None)
    return plain_dino(
        student.to(run.device), lr=LR, weight_decay=WEIGHT_DECAY, momentum=MOMENTUM, clip=CLIP, autocast=autocast
    )


def views(args: argparse.Namespace) -> dict[int, Tensor]:
    """Random pixels in the shape of a batch's views, in page-locked memory where there is a GPU."""
    generator = torch.Generator().manual_seed(0)
    shapes = {args.global_size: 2, args.local_size: args.locals}
    pixels = {
        size: torch.randint(0, 256, (count, args.batch, 3, size, size), generator=generator, dtype=torch.uint8)
        for size, count in shapes.items()
        if count
    }
    return {size: tensor.pin_memory() if torch.cuda.is_available() else tensor for size, tensor in pixels.items()}


class Contestants:
    """Both sides, each with its own step counter."""

    def __init__(self, run: Run, plain: PlainDino, pixels: Mapping[int, Tensor], batch: int) -> None:
        self.run, self.plain, self.pixels = run, plain, pixels
        self.batch = Batch(pixels, torch.arange(batch), None)
        self.done = {"sslkit": 0, "plain": 0}

    def sslkit(self) -> Tensor:
        """One step of the engine."""
        at = Position(self.done["sslkit"], LENGTH.total, LENGTH.steps_per_epoch)
        self.done["sslkit"] += 1
        return training_step(self.run, self.batch, at).tensors["loss"]

    def plain_loop(self) -> float:
        """One step of the plain loop, with the draws of the engine's step of the same number."""
        seed_everything("step", self.run.seed, self.done["plain"], 0, 0)
        self.done["plain"] += 1
        return self.plain.step(self.pixels)


def reference(args: argparse.Namespace, device: torch.device) -> Callable[[], object]:
    """A step of the reference's own, in float32: on a CPU it has no other precision."""
    dino = ReferenceDino(
        args.reference, f"vit_{args.arch}", args.patch, args.locals, args.out_dim, DROP_PATH, False, device
    )
    given = normalised(views(args))
    return lambda: dino.steps(given, 1)


def timed(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Milliseconds a step, over so many steps."""
    synchronize(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize(device)
    return (time.perf_counter() - began) * 1000 / steps


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def function_lines() -> int:
    """Lines of the training step, ``def`` to end with its docstring, as the reference's 59 were counted."""
    tree = ast.parse(Path(engine_step.__file__).read_text(encoding="utf-8"))
    step = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "training_step")
    return (step.end_lineno or 0) - step.lineno + 1


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Compare first losses, warm up, then time rounds in alternating order."""
    run = build_run(load_recipe(recipe(args)), LENGTH, None, device)
    sides = Contestants(run, plain_twin(run, args), views(args), args.batch)
    losses = [(float(sides.sslkit()), sides.plain_loop()) for _ in range(max(args.warmup, 2))]
    steps: dict[str, Callable[[], object]] = {"sslkit": sides.sslkit, "plain loop": sides.plain_loop}
    if args.reference:
        steps["reference"] = reference(args, device)
        steps["reference"]()
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(args.rounds):
        for name in sorted(steps, reverse=number % 2 == 1):
            rounds[name].append(timed(steps[name], args.steps, device))
    return {"first losses": losses, "milliseconds": rounds, "training_step lines": function_lines()}


def lines(found: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """The page's body."""
    times: dict[str, list[float]] = found["milliseconds"]
    ours, others = times["sslkit"], {name: of for name, of in times.items() if name != "sslkit"}
    ratios = {name: [a / b for a, b in zip(of, ours, strict=True)] for name, of in others.items()}
    summary = [
        ["minimum", *map(min, times.values()), *(min(of) / min(ours) for of in others.values())],
        ["median", *map(statistics.median, times.values()), *map(statistics.median, ratios.values())],
    ]
    columns = zip(*times.values(), *ratios.values(), strict=True)
    each = [[f"round {i + 1}", *row] for i, row in enumerate(columns)]
    gaps = ", ".join(f"{a:.6f} / {b:.6f}" for a, b in found["first losses"])
    return [
        f"ViT {args.arch}/{args.patch}, 2x{args.global_size} + {args.locals}x{args.local_size}, K {args.out_dim}, "
        f"batch {args.batch}, {args.precision}, drop path {DROP_PATH}, per-tensor clip, AdamW, EMA. Milliseconds a "
        f"step; a round is {args.steps} step(s) of each side, the order alternates; the median ratio is the median of "
        "the rounds' ratios.",
        "",
        "The plain loop is benchmarks/plain_dino.py: the same maths written the obvious way on timm's blocks. On a CPU "
        "all sides keep freed memory as sslkit's runs do ([kept_memory](kept_memory.md)).",
        "",
        *page.table(["", *times, *(f"{name} / sslkit" for name in others)], summary + each),
        f"Losses of the first steps, sslkit / plain (equal weights, views and drop paths): {gaps}.",
        "",
        f"The training step is a function of {found['training_step lines']} lines, docstring included; the reference's "
        "train_one_epoch has 59.",
    ]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=("tiny", "small", "base"), default="small")
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--locals", type=int, default=8, help="local crops")
    parser.add_argument("--global-size", type=int, default=224)
    parser.add_argument("--local-size", type=int, default=96)
    parser.add_argument("--out-dim", type=int, default=65536, help="prototypes K")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's own choice)")
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dino")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1, help="steps of each side in a round")
    parser.add_argument("--warmup", type=int, default=2, help="untimed first steps, whose losses are compared")
    parser.add_argument("--name", default="step", help="of the page")
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    args = arguments()
    device = choose_device(args.device)
    words = ["DIR" if word == str(args.reference) else word for word in page.without_out(sys.argv[1:])]
    command = shlex.join(["python", "benchmarks/step.py", *words])
    with processor(device, args.threads):
        machine = page.machine(device)
        found = measure(args, device)
    top = page.heading("Training step", command, machine)
    page.write(args.name, top + lines(found, args), {"command": command, "machine": machine, **found}, args.out)


if __name__ == "__main__":
    main()
